/* SPDX-License-Identifier: MIT */
/* A virtio device whose queues are served by another process, through vhost-user. */
#ifndef KVM_VIRTIO_VHOST_USER_FRONTEND_H
#define KVM_VIRTIO_VHOST_USER_FRONTEND_H

#include "kvm/virtio/device.h"
#include "kvm/virtio/vhost-user-link.h"

struct vhost_user_frontend;

/* What a type of device adds. */
struct vhost_user_frontend_ops {
    /*
     * Answers a request on a queue in place of a backend that is gone: writes to the
     * chain, and returns how many bytes. NULL: there is no such answer, the driver is
     * told that the device needs a reset.
     */
    uint32_t (*answer)(struct virtio_device *dev, unsigned int queue,
                       const struct virtqueue_chain *chain);
};

/* Embedded first in each type's own struct. */
struct vhost_user_frontend {
    struct virtio_device dev; /* first */
    const struct vhost_user_frontend_ops *ops;
    struct vhost_user_link *link;
    struct event_source *source;
    const struct guest_memory *memory;
    bool is_orphan; /* the backend is gone, and we answer */
    struct {
        bool is_running;             /* the backend has it */
        uint16_t base;               /* where it goes on */
        struct event_source *source; /* an orphan's kicks */
        /* Where an interrupt must be noted before it goes out (see virtqueue.isr): the backend
           gets an eventfd of ours instead. -1 otherwise. */
        int relay_fd;
        struct event_source *relay;
    } ring[VIRTIO_DEVICE_MAX_QUEUES];
};

/*
 * For device types, on zeroed memory: a device of queue_count queues. link (open, not
 * owned) offers the features; of them are taken those of the rings, and wanted.
 */
void vhost_user_frontend_init(struct vhost_user_frontend *frontend,
                              const struct virtio_device_ops *device_ops,
                              const struct vhost_user_frontend_ops *ops, struct event_loop *loop,
                              struct vhost_user_link *link, unsigned int queue_count,
                              uint64_t wanted);

/* For the types' struct virtio_device_ops. */
int vhost_user_frontend_start(struct virtio_device *dev);
void vhost_user_frontend_stop(struct virtio_device *dev);
void vhost_user_frontend_kick(struct virtio_device *dev, unsigned int index);
void vhost_user_frontend_hold(struct virtio_device *dev);
/* While it is held: notes in the state's queues how far the backend was. What else a backend knows
   is not saved. */
void vhost_user_frontend_save(struct virtio_device *dev, Snapshot__Virtio *state);
bool vhost_user_frontend_has_own_kicks(struct virtio_device *dev, unsigned int index);

#endif

/* SPDX-License-Identifier: MIT */
/* A virtio device as its transport sees it, and a transport as its device sees it. */
#ifndef KVM_VIRTIO_DEVICE_H
#define KVM_VIRTIO_DEVICE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kvm/event-loop.h"
#include "kvm/virtio/virtqueue.h"
#include "lib/wire/snapshot.pb-c.h"

#define VIRTIO_DEVICE_MAX_QUEUES 16

struct virtio_device;

/*
 * What a device type implements. Every call is made on the event loop's thread:
 * a transport that is driven from a vcpu thread hands start and stop over and
 * waits. Device code therefore needs no locks. config_read and config_write are
 * the exception: they come from any thread, with the transport's lock held.
 */
struct virtio_device_ops {
    uint16_t device_id; /* virtio 1.2 section 5 */
    const char *name;   /* "blk": for messages */
    /* Interrupts of several queues mostly come together: on PCI they share one vector. */
    bool has_one_vector;
    void (*config_read)(struct virtio_device *dev, uint32_t offset, void *buf, uint32_t size);
    /* NULL: the configuration is read-only. */
    void (*config_write)(struct virtio_device *dev, uint32_t offset, const void *buf,
                         uint32_t size);
    /* The driver is ready (DRIVER_OK): features are agreed, enabled queues are running. */
    int (*start)(struct virtio_device *dev);
    /* Reset: nothing may touch the queues after this returns. Idempotent; also follows a
       start that failed. */
    void (*stop)(struct virtio_device *dev);
    /* The driver made buffers available on queue index. */
    void (*kick)(struct virtio_device *dev, unsigned int index);
    /*
     * The queues are about to be held: virtqueue_pop() gives out nothing until the device is
     * released. A device that keeps chains for later gives them back (virtqueue_unpop());
     * one whose own threads take chains waits here until they no longer do. What is being
     * worked on is pushed as ever. After the release every queue is kicked. NULL: nothing to
     * be done.
     */
    void (*hold)(struct virtio_device *dev);
    /*
     * Whether the device watches the kick_fd of queue index itself, on a thread of its
     * own, between start and stop; kick is called for such a queue after a release only.
     * Asked when features are agreed. NULL: for no queue.
     */
    bool (*has_own_kicks)(struct virtio_device *dev, unsigned int index);
    /*
     * For snapshots: what the device knows beside features and queues, in a message of its
     * own of state (allocated, see kvm/snapshot/format.h). restore comes before start and
     * does not trust it. NULL: nothing. A device that cannot be saved says so in err.
     */
    int (*save)(struct virtio_device *dev, Snapshot__Virtio *state, struct crosh_error *err);
    int (*restore)(struct virtio_device *dev, const Snapshot__Virtio *state,
                   struct crosh_error *err);
    /* The whole machine was restored: tells the driver what is no more. NULL: nothing. */
    void (*restored)(struct virtio_device *dev);
};

/* A queue's kick_fd on the loop. */
struct virtio_kick {
    struct virtio_device *dev;
    struct event_source *source;
};

/* Embedded first in each device's own struct. */
struct virtio_device {
    const struct virtio_device_ops *ops;
    struct event_loop *loop;
    uint64_t features;        /* offered, with VIRTIO_F_VERSION_1 */
    uint64_t driver_features; /* accepted by the driver, a subset of features */
    unsigned int queue_count;
    struct virtqueue queue[VIRTIO_DEVICE_MAX_QUEUES];
    bool started;
    /* Set by the transport around a stop of which the driver knows nothing: a start follows that
       goes on where it was. What the driver knows of stays. */
    bool is_suspended;
    /* The device cannot go on until it is reset (DEVICE_NEEDS_RESET); cleared by the reset. It
       calls virtio_device_config_changed() then. */
    atomic_bool needs_reset;
    struct virtio_kick kick[VIRTIO_DEVICE_MAX_QUEUES]; /* device.c's own */

    /* Set by the transport. */
    void *transport;
    /* Tells the driver that the configuration changed; NULL-safe through the helper below. */
    void (*config_changed)(struct virtio_device *dev);
    /* Called after the driver's first DRIVER_OK, for stage reports; may be NULL. */
    void (*on_first_start)(void *opaque);
    void *on_first_start_opaque;
};

/*
 * For device types: sets up what every device has, on zeroed memory. features
 * become VERSION_1, indirect descriptors and event indices; size_max of each queue
 * is the caller's to set.
 */
void virtio_device_init(struct virtio_device *dev, const struct virtio_device_ops *ops,
                        struct event_loop *loop, unsigned int queue_count);
/* For config_read: copies [offset, offset + size) of config; what lies beyond it reads as 0. */
void virtio_config_copy(const void *config, size_t config_size, uint32_t offset, void *buf,
                        uint32_t size);

static inline void virtio_device_config_changed(struct virtio_device *dev)
{
    if (dev->config_changed != NULL && dev->started)
        dev->config_changed(dev);
}

static inline bool virtio_device_has_feature(const struct virtio_device *dev, unsigned int bit)
{
    return (dev->driver_features >> bit & 1) != 0;
}

/*
 * For transports, on the loop's thread: starts the queues whose sizes and
 * addresses are set and enabled (size != 0), watches their kick_fds, calls
 * ops->start, and says so once through on_first_start. Negative when a queue's
 * set-up is invalid: the transport then sets DEVICE_NEEDS_RESET.
 */
int virtio_device_start(struct virtio_device *dev, const struct guest_memory *memory);
/*
 * For backends, on the loop's thread, while no vcpu runs: the device takes nothing
 * more from its queues until it is released. idle_fd (an eventfd, not owned) is
 * written each time a queue has got back all that it had given out.
 */
void virtio_device_hold(struct virtio_device *dev, int idle_fd);
void virtio_device_release(struct virtio_device *dev);
/* No chain of a held device is under way: it touches guest memory no more. */
bool virtio_device_is_quiet(const struct virtio_device *dev);
/* For transports: stops the device and resets its queues. Idempotent. */
void virtio_device_stop(struct virtio_device *dev);

#endif

/* SPDX-License-Identifier: MIT */
/* virtio-console (virtio 1.2 section 5.3): the console, and streams by name beside it. */
#ifndef KVM_VIRTIO_CONSOLE_H
#define KVM_VIRTIO_CONSOLE_H

#include "kvm/virtio/device.h"

/* Bytes that the guest wrote; on the loop's thread. The bytes are a copy. */
typedef void virtio_console_output_fn(void *opaque, const void *data, size_t size);

/* NULL with err filled on lack of memory. */
struct virtio_device *virtio_console_new(struct event_loop *loop, virtio_console_output_fn *output,
                                         void *opaque, struct crosh_error *err);
/* Stops and frees it; accepts NULL. */
void virtio_console_free(struct virtio_device *dev);

/*
 * Bytes typed for the guest. What its driver does not take at once waits in a
 * bounded buffer, across the driver's start too. Returns how many were accepted.
 */
size_t virtio_console_input(struct virtio_device *dev, const void *data, size_t size);

/* Tells the guest how large its terminal is. */
void virtio_console_resize(struct virtio_device *dev, uint16_t columns, uint16_t rows);

/*
 * More ports (VIRTIO_CONSOLE_F_MULTIPORT, 5.3.6.2): streams by name between a program of the
 * guest (/dev/virtio-ports/NAME) and one of the host.
 */
#define VIRTIO_CONSOLE_MAX_PORTS 6 /* each takes two queues */
#define VIRTIO_CONSOLE_NAME_MAX  31

struct virtio_console_port_ops {
    /* Bytes that the guest wrote; returns how many were taken. Fewer than size: no more is
       offered until virtio_console_port_drain(). Without anybody connected they are dropped. */
    size_t (*output)(void *opaque, const void *data, size_t size);
    /* The guest has taken input, or opened or closed the port: there may be room for more. */
    void (*room)(void *opaque);
};

/*
 * Adds a port before the driver starts; its number, or -ENOSPC, -ENOMEM. The name (1 to
 * VIRTIO_CONSOLE_NAME_MAX bytes) is copied; ops and opaque stay the caller's.
 */
int virtio_console_add_port(struct virtio_device *dev, const char *name,
                            const struct virtio_console_port_ops *ops, void *opaque);
/* Tells the guest whether somebody is there. Input that it has not taken is dropped at the end. */
void virtio_console_port_connect(struct virtio_device *dev, unsigned int port, bool is_open);
/* Input for the guest; returns how many bytes were accepted: none while no program of the guest
   has the port open. */
size_t virtio_console_port_input(struct virtio_device *dev, unsigned int port, const void *data,
                                 size_t size);
/* How many bytes virtio_console_port_input() would accept now. */
size_t virtio_console_port_room(struct virtio_device *dev, unsigned int port);
/* No input waits for the guest, or nobody is there to take it. */
bool virtio_console_port_is_idle(struct virtio_device *dev, unsigned int port);
/* Output can be taken again. */
void virtio_console_port_drain(struct virtio_device *dev, unsigned int port);

#endif

/* SPDX-License-Identifier: MIT */
/* virtio-console (virtio 1.2 section 5.3) with one port. */
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

#endif

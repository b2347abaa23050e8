/* SPDX-License-Identifier: MIT */
/* virtio-input (virtio 1.2 section 5.8) with one key: a power button for guests without ACPI. */
#ifndef KVM_VIRTIO_BUTTON_H
#define KVM_VIRTIO_BUTTON_H

#include "kvm/virtio/device.h"

/* NULL with err filled on lack of memory. */
struct virtio_device *virtio_button_new(struct event_loop *loop, struct crosh_error *err);
/* Presses it and lets it go; a guest that has no driver for it, or stands still, misses that. On
   the loop's thread. */
void virtio_button_press(struct virtio_device *dev);
/* Stops and frees it; accepts NULL. */
void virtio_button_free(struct virtio_device *dev);

#endif

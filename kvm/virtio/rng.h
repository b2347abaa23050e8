/* SPDX-License-Identifier: MIT */
/* virtio-rng (virtio 1.2 section 5.4): the host's random numbers for the guest. */
#ifndef KVM_VIRTIO_RNG_H
#define KVM_VIRTIO_RNG_H

#include "kvm/virtio/device.h"

/* NULL with err filled on lack of memory. */
struct virtio_device *virtio_rng_new(struct event_loop *loop, struct crosh_error *err);
/* Stops and frees it; accepts NULL. */
void virtio_rng_free(struct virtio_device *dev);

#endif

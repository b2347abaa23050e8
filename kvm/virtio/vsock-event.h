/* SPDX-License-Identifier: MIT */
/* The vsock device's event queue (virtio 1.2 section 5.10.6.7). */
#ifndef KVM_VIRTIO_VSOCK_EVENT_H
#define KVM_VIRTIO_VSOCK_EVENT_H

#include <stdbool.h>

#include "kvm/virtio/virtqueue.h"

/* Tells the driver that its streams are gone (TRANSPORT_RESET). False: it has given no buffer yet.
 */
bool vsock_event_reset(struct virtqueue *vq);

#endif

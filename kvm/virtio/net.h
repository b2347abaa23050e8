/* SPDX-License-Identifier: MIT */
/* virtio-net (virtio 1.2 section 5.1): a network card between guest and a host end. */
#ifndef KVM_VIRTIO_NET_H
#define KVM_VIRTIO_NET_H

#include "kvm/net/nic.h"
#include "kvm/virtio/device.h"

/*
 * A card as nic describes it; nic->end (opened) outlives it. vcpus: of the guest,
 * for as many pairs of queues as both sides have a use for. While the driver runs
 * it, each pair has a thread of its own. NULL with err filled.
 */
struct virtio_device *virtio_net_new(struct event_loop *loop, const struct nic *nic,
                                     unsigned int vcpus, struct crosh_error *err);
/* Accepts NULL. */
void virtio_net_free(struct virtio_device *dev);

#endif

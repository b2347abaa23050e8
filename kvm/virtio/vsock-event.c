/* SPDX-License-Identifier: MIT */
/* Sends events of the vsock device. */
#include "kvm/virtio/vsock-event.h"

#include <endian.h>

#include <linux/virtio_vsock.h>

bool vsock_event_reset(struct virtqueue *vq)
{
    const struct virtio_vsock_event event = {
        .id = htole32(VIRTIO_VSOCK_EVENT_TRANSPORT_RESET),
    };
    struct virtqueue_chain chain;

    if (virtqueue_pop(vq, &chain) <= 0)
        return false;
    virtqueue_push(vq, chain.head,
                   (uint32_t)virtqueue_chain_write(&chain, 0, &event, sizeof(event)));
    virtqueue_notify(vq);
    return true;
}

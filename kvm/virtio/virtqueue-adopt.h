/* SPDX-License-Identifier: MIT */
/* Going on with a queue that another process served and left. */
#ifndef KVM_VIRTIO_VIRTQUEUE_ADOPT_H
#define KVM_VIRTIO_VIRTQUEUE_ADOPT_H

#include "kvm/virtio/virtqueue.h"

/* Marks the used ring of a queue that nobody has used yet, so that virtqueue_adopt() can tell which
   of its entries were written. */
void virtqueue_prepare_adopt(const struct virtqueue *vq);
/*
 * Takes a running queue over as its former server left it. Fills head (of
 * VIRTQUEUE_MAX_SIZE) with the chains that it had taken or could have taken, and had not
 * given back, and returns their number: they are the caller's to push. Negative when the
 * rings do not tell.
 */
int virtqueue_adopt(struct virtqueue *vq, uint16_t *head);

#endif

/* SPDX-License-Identifier: MIT */
/* virtio-blk (virtio 1.2 section 5.2) over a raw disk image. */
#ifndef KVM_VIRTIO_BLK_H
#define KVM_VIRTIO_BLK_H

#include "kvm/virtio/device.h"

/* NULL with err filled when the disk cannot be opened, locked or served. */
struct virtio_device *virtio_blk_new(struct event_loop *loop, const char *path, bool read_only,
                                     struct crosh_error *err);
/* Stops it and frees it; accepts NULL. */
void virtio_blk_free(struct virtio_device *dev);

#endif

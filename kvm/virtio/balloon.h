/* SPDX-License-Identifier: MIT */
/* virtio-balloon (virtio 1.2 section 5.5): takes memory from the guest, and gives it back. */
#ifndef KVM_VIRTIO_BALLOON_H
#define KVM_VIRTIO_BALLOON_H

#include "kvm/virtio/device.h"

/* What the guest says of its memory (5.5.6.3); tags from <linux/virtio_balloon.h>. */
enum { VIRTIO_BALLOON_STATS = 16 };

struct virtio_balloon_info {
    bool has_driver;         /* the guest drives it now */
    bool can_report;         /* it also reports pages that it does not use for now */
    uint64_t target_bytes;   /* what is asked of the guest */
    uint64_t actual_bytes;   /* what the guest says that it has given */
    uint64_t reported_bytes; /* unused memory given back so far, through reports */
    uint32_t stats_known;    /* a bit for each tag that the guest has told */
    uint64_t stat[VIRTIO_BALLOON_STATS];
};

/* On the loop's thread. */
struct virtio_balloon_ops {
    /* The statistics that were asked for are in. */
    void (*stats)(void *opaque);
    /* actual_bytes is another than before; at most four times a second, as the guest does it. */
    void (*changed)(void *opaque);
};

/* NULL with err filled on lack of memory or descriptors. */
struct virtio_device *virtio_balloon_new(struct event_loop *loop,
                                         const struct virtio_balloon_ops *ops, void *opaque,
                                         struct crosh_error *err);
/* Stops and frees it; accepts NULL. */
void virtio_balloon_free(struct virtio_device *dev);

/* Asks the guest to give so many bytes in all, rounded down to pages of 4 KiB. It takes its time,
   gives what it can spare, and takes some back when it would otherwise run out. */
void virtio_balloon_set_target(struct virtio_device *dev, uint64_t bytes);
/* Asks the guest for new statistics; false when it has no way to tell them now. It may never do. */
bool virtio_balloon_ask_stats(struct virtio_device *dev);
void virtio_balloon_get_info(struct virtio_device *dev, struct virtio_balloon_info *info);

#endif

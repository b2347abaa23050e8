/* SPDX-License-Identifier: MIT */
/* virtio-blk (virtio 1.2 section 5.2) over a raw disk image. */
#ifndef KVM_VIRTIO_BLK_H
#define KVM_VIRTIO_BLK_H

#include "kvm/disk/rate-limit.h"
#include "kvm/virtio/device.h"

#define VIRTIO_BLK_MAX_QUEUES 8

/* What a disk shall be. */
struct virtio_blk_setup {
    const char *path; /* also when fd is given: its name gives the serial number */
    int fd;           /* open already and the disk's from now on; -1: path is opened */
    bool read_only;
    unsigned int queues; /* 1 to VIRTIO_BLK_MAX_QUEUES; best one a vcpu */
    struct rate_limits limits;
    /* The host has no room for what the guest wrote (true), or has it again. On the loop's thread;
       may be NULL. */
    void (*full)(void *opaque, bool is_full);
    void *opaque;
};

/* What a disk has done since it was made. */
struct virtio_blk_stats {
    uint64_t reads, writes, flushes, discards; /* requests, discards with write-zeroes */
    uint64_t read_bytes, written_bytes;
    uint64_t errors;       /* requests answered with one */
    uint64_t throttled_ns; /* waited for the rate limits */
};

/* NULL with err filled when the disk cannot be opened, locked or served. */
struct virtio_device *virtio_blk_new(struct event_loop *loop, const struct virtio_blk_setup *setup,
                                     struct crosh_error *err);
/* Stops it and frees it; accepts NULL. */
void virtio_blk_free(struct virtio_device *dev);

/* All of these are for the loop's thread. */

/* raw_disk_resize(), and the guest is told. */
int virtio_blk_resize(struct virtio_device *dev, uint64_t bytes, struct crosh_error *err);
uint64_t virtio_blk_bytes(const struct virtio_device *dev);
void virtio_blk_set_limits(struct virtio_device *dev, const struct rate_limits *limits);
struct rate_limits virtio_blk_limits(struct virtio_device *dev);
struct virtio_blk_stats virtio_blk_stats(struct virtio_device *dev);
/* Whether writes wait for room on the host. */
bool virtio_blk_is_full(struct virtio_device *dev);
/* Looks for room now instead of within a second. */
void virtio_blk_retry(struct virtio_device *dev);

#endif

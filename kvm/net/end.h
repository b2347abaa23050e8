/* SPDX-License-Identifier: MIT */
/* The host's end of a network card: where frames go to and come from. */
#ifndef KVM_NET_END_H
#define KVM_NET_END_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include <crosh/error.h>

/* The largest frame that anybody may hand over: 64 KiB of IP and its Ethernet header, one VLAN
   tag included (virtio 1.2 section 5.1.6 has it at 65,550). */
#define NET_FRAME_MAX  (65535u + 18u)
#define NET_FRAME_MIN  14u
#define NET_MAX_QUEUES 4

struct net_end;

/*
 * An end's queues are independent: each may be used by another thread. In all
 * lists of segments the first one is the frame's struct virtio_net_hdr_v1, which
 * the end may leave out or replace; the list is the end's to change.
 */
struct net_end_ops {
    /*
     * Sends a frame of bytes (without its header), at the next flush() at the latest. 0:
     * it is taken, or lost as frames are; 1: the same, and the end takes no more until
     * flush() says so; -EAGAIN: not taken, wait in the same way; -ENOTCONN: there is
     * nobody any more.
     */
    int (*send)(struct net_end *end, unsigned int queue, struct iovec *segment, unsigned int count,
                size_t bytes);
    /* After the last frame of several, and when the descriptor is writable again. 0: more can be
       sent; else as send(). NULL: never needed. */
    int (*flush)(struct net_end *end, unsigned int queue);
    /*
     * Receives a frame. Its size without the header, which is filled in; what the
     * segments cannot hold is lost. -EAGAIN: there is none; -ENOTCONN as above.
     */
    ssize_t (*receive)(struct net_end *end, unsigned int queue, struct iovec *segment,
                       unsigned int count);
    /* Whether a whole frame waits that the descriptor will not announce. NULL: never. */
    bool (*has_buffered)(struct net_end *end, unsigned int queue);
    /* The features (VIRTIO_NET_F_GUEST_*) of frames to the guest. NULL: there are none. */
    int (*set_offloads)(struct net_end *end, uint64_t features);
    /* How many of the queues, from the first on, get frames. NULL: there is one. */
    int (*set_queues)(struct net_end *end, unsigned int active);
    void (*free)(struct net_end *end);
};

/* Embedded first in each kind's own struct. */
struct net_end {
    const struct net_end_ops *ops;
    unsigned int queue_count;
    int fd[NET_MAX_QUEUES]; /* non-blocking; to be polled */
    uint64_t features;      /* VIRTIO_NET_F_* offloads that it can do */
    uint16_t mtu;           /* of the host's interface; 0: not known */
    bool is_tap;
};

/*
 * A tap interface of the current network namespace, by name. queues: how many are
 * wanted; there may be fewer. Needs CAP_NET_ADMIN unless the interface was made for
 * the user. NULL with err filled.
 */
struct net_end *net_tap_open(const char *name, unsigned int queues, struct crosh_error *err);
/* The tap interface that count descriptors are attached to, which become the end's. */
struct net_end *net_tap_from_fds(const int *fd, unsigned int count, struct crosh_error *err);

/*
 * A connected stream (owned from here on) on which each frame follows its length, 32
 * bits big endian, as passt and QEMU's "-netdev stream" have it. NULL with err filled.
 */
struct net_end *net_stream_from_fd(int fd, struct crosh_error *err);
/* The same, connected to the unix socket at path. */
struct net_end *net_stream_open(const char *path, struct crosh_error *err);

/* Accepts NULL. */
void net_end_free(struct net_end *end);

#endif

/* SPDX-License-Identifier: MIT */
/* virtio-net's inside: a pair of queues, and what the device shares with its pairs. */
#ifndef KVM_VIRTIO_NET_INTERNAL_H
#define KVM_VIRTIO_NET_INTERNAL_H

#include <linux/virtio_net.h>
#include <pthread.h>
#include <stdatomic.h>

#include "kvm/net/end.h"
#include "kvm/net/features.h"
#include "kvm/virtio/device.h"

enum {
    NET_HEADER_BYTES = sizeof(struct virtio_net_hdr_v1),
    NET_QUEUE_SIZE = 256,
    /* Buffers of the guest that one frame may be spread over, and their segments. */
    NET_ROOM_MAX = 128,
    NET_SEGMENTS_MAX = NET_ROOM_MAX + VIRTQUEUE_MAX_SIZE,
};

struct virtio_net;

/* One of the guest's receive buffers, taken for frames to come. */
struct net_room {
    uint16_t head;
    unsigned int first, count; /* its segments */
    size_t bytes;
};

enum net_way { NET_BOTH_WAYS, NET_TO_GUEST, NET_FROM_GUEST };

/*
 * A receive and a transmit queue and one queue of the host end. While the device
 * runs, a pair belongs to its thread alone; before and after, to the loop's.
 */
struct net_pair {
    struct virtio_net *net;
    unsigned int index;
    struct virtqueue *rx, *tx;
    struct event_loop *loop; /* the thread's */
    struct event_source *rx_kick, *tx_kick, *source;
    pthread_t thread;
    bool has_thread;

    bool is_starving; /* frames wait for the guest's buffers */
    bool is_blocked;  /* the host end takes no more at the moment */
    bool is_gone;     /* the host end is no more */

    enum net_way way;  /* where the last turn's frames went */
    bool is_bulk;      /* a large one of the guest's was among those it last sent */
    int64_t turned_ns; /* when the last turn was over, CLOCK_MONOTONIC */

    uint16_t answered_idx; /* of rx's used index, when frames were sent last */
    /* The interrupt for frames sent was put off; the timer sees to it that it is not forgotten. */
    bool is_owing, is_timer_set;
    struct event_source *timer;

    /* Buffers that were taken for frames to come. */
    unsigned int large_left; /* frames for which there is to be room for the largest */
    unsigned int room_count, segment_count;
    size_t room_bytes;
    struct net_room room[NET_ROOM_MAX];
    struct iovec segment[NET_SEGMENTS_MAX];

    /* A frame that was larger than the buffers that the guest had there; size 0: none. */
    struct virtio_net_hdr_v1 pending_header;
    size_t pending_size;
    uint8_t pending[NET_FRAME_MAX + 1];

    struct virtqueue_chain chain;
    /* header, buffers, and what they cannot hold */
    struct iovec list[1 + NET_SEGMENTS_MAX + 1];
};

struct virtio_net {
    struct virtio_device dev; /* first */
    struct net_end *end;
    uint16_t mtu;              /* 0: not told */
    unsigned int pair_count;   /* of the device */
    unsigned int active;       /* pairs that the driver wants to use, 1 after a reset */
    uint64_t offloads;         /* feature bits that are on at the host end */
    bool is_restored;          /* the next start goes on with active and offloads */
    struct net_pair *pair;     /* pair_count */
    atomic_uint_least64_t mac; /* its bytes from the lowest on; the driver may change it */
    atomic_bool is_link_up;    /* what the driver is told */
    atomic_bool is_gone;       /* a pair's word that the host end is no more */
    int gone_fd;               /* and its call to the loop's thread */
    struct event_source *gone_source;
};

/*
 * Whether a guest's header, of a frame of bytes, claims nothing that is not so or
 * was not agreed on; brings what the host end must not see into order. features:
 * the driver's.
 */
bool net_check_header(struct virtio_net_hdr_v1 *header, size_t bytes, uint64_t features);

/* net-pair.c: watches the pair's descriptors on its loop. 0 or negative errno. */
int net_pair_start(struct net_pair *pair);
/* Watches no more, and forgets what was on its way. */
void net_pair_stop(struct net_pair *pair);

#endif

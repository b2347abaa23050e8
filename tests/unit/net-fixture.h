/* SPDX-License-Identifier: MIT */
/* A virtio-net device, a driver in memory, and what lies at the card's other end. */
#ifndef TESTS_UNIT_NET_FIXTURE_H
#define TESTS_UNIT_NET_FIXTURE_H

#include <stdint.h>

#include "kvm/net/features.h"
#include "kvm/virtio/net.h"
#include "tests/unit/fake-queue.h"

enum {
    NET_RING = 16,
    NET_HEADER = sizeof(struct virtio_net_hdr_v1),
    NET_RX_GPA = 0x10000,
    NET_TX_GPA = 0x100000,
    NET_CTRL_GPA = 0x200000,
    NET_TX_STRIDE = 0x10100,
    NET_RAM_BYTES = 0x300000,
};

struct net_fixture {
    struct event_loop *loop;
    struct event_source *timer;
    struct guest_memory memory;
    uint8_t *ram;
    struct nic nic;
    struct virtio_device *dev;
    unsigned int pairs;
    uint16_t ring; /* entries of the receive queue; NET_RING unless changed before the start */
    struct fake_queue rx[2], tx[2], ctrl;
    uint32_t rx_bytes; /* of each receive buffer */
    unsigned int tx_next;
    unsigned int config_changes;
    int peer; /* of a stream */
};

/* A card with a stream; f->peer is its other end. Not started. */
void net_fixture_init(struct net_fixture *f);
/* A card with whatever f->nic.end is; for so many vcpus. */
void net_fixture_attach(struct net_fixture *f, unsigned int vcpus);
/* Starts the driver with these features beside VERSION_1, and no buffers. */
void net_fixture_start(struct net_fixture *f, uint64_t features);
void net_fixture_fini(struct net_fixture *f);

/* Runs the loop's thread until the condition holds; fails the test when it does not come to. */
#define net_wait_for(f, condition)                                                                 \
    for (unsigned int patience_ = 5000; !(condition); patience_--) {                               \
        if (patience_ == 0)                                                                        \
            fail_msg("never: %s", #condition);                                                     \
        net_turn(f);                                                                               \
    }
void net_turn(struct net_fixture *f);

/* Makes count receive buffers of bytes available, from number first on. */
void net_add_buffers(struct net_fixture *f, unsigned int first, unsigned int count, uint32_t bytes);
/*
 * Takes a frame that was received, in as many buffers as its header says, its bytes
 * to frame; gives the buffers back to the device. Its size; 0: there is none.
 */
size_t net_take_frame(struct net_fixture *f, uint8_t *frame, struct virtio_net_hdr_v1 *header,
                      bool refill);
/* Sends a frame by pair: header and bytes in segments that cut both. */
void net_send_frame(struct net_fixture *f, unsigned int pair,
                    const struct virtio_net_hdr_v1 *header, const uint8_t *frame, size_t size);
/* Frames of a pair that came back to the driver since the last call. */
unsigned int net_sent(struct net_fixture *f, unsigned int pair);
/* One command on the control queue; its answer. */
uint8_t net_command(struct net_fixture *f, uint8_t class, uint8_t command, const void *data,
                    size_t size);

/* At a stream's other end: bytes as they are, a frame, and the next frame's size. */
void net_peer_write(struct net_fixture *f, const void *data, size_t size);
void net_peer_send(struct net_fixture *f, const uint8_t *frame, size_t size);
size_t net_peer_receive(struct net_fixture *f, uint8_t *frame);

/* Fills a frame with bytes that depend on seed; the first 14 are an Ethernet header. */
void net_make_frame(uint8_t *frame, size_t size, uint8_t seed);

#endif

/* SPDX-License-Identifier: MIT */
/* A guest's vsock driver in miniature: real rings in memory of the test, streams of known bytes. */
#ifndef TESTS_UNIT_FAKE_VSOCK_DRIVER_H
#define TESTS_UNIT_FAKE_VSOCK_DRIVER_H

#include "kvm/virtio/vsock-packet.h"
#include "kvm/virtio/vsock.h"
#include "tests/unit/fake-queue.h"

#define FAKE_CID         42u
#define FAKE_MAX_STREAMS 1100
#define FAKE_TX_SLOTS    32u
#define FAKE_PACKET_MAX  65536u

/* One stream as the guest sees it. Bytes in each direction are vsock_pattern(seed, offset). */
struct fake_stream {
    uint32_t guest_port, host_port;
    uint8_t seed;
    bool used, open, closed; /* closed: a RST came or went */
    bool keeps;              /* the application does not read: credit is not given back */
    uint32_t host_shut;
    uint32_t buf_alloc, rx_cnt, fwd_cnt;
    uint32_t tx_cnt, peer_buf_alloc, peer_fwd_cnt;
    uint64_t to_send; /* bytes that the application still wants to write */
    unsigned int credit_updates, credit_requests;
};

struct fake_driver {
    struct event_loop *loop;
    struct virtio_device *dev;
    struct guest_memory memory;
    uint8_t *ram;
    struct fake_queue rx, tx, event;
    struct event_source *rx_irq, *tx_irq;
    uint32_t rx_payload; /* bytes of payload in each receive buffer */
    bool rx_held;        /* used receive buffers are not given back */
    uint32_t rx_owned;   /* how many wait for that */
    uint16_t rx_owned_head[VIRTQUEUE_MAX_SIZE];
    uint32_t tx_free;      /* bit mask of slots */
    bool listens;          /* accepts every REQUEST of the host */
    bool ignores;          /* answers neither REQUEST nor SHUTDOWN */
    unsigned int refusals; /* RSTs for streams that are not there */
    unsigned int packets;  /* packets received */
    struct fake_stream stream[FAKE_MAX_STREAMS];
    unsigned int stream_count;
};

static inline uint8_t vsock_pattern(uint8_t seed, uint32_t offset)
{
    return (uint8_t)(seed + offset * 31 + (offset >> 8) * 7 + (offset >> 16));
}

/* Starts dev with fresh rings. */
void fake_driver_init(struct fake_driver *d, struct event_loop *loop, struct virtio_device *dev);
void fake_driver_start(struct fake_driver *d, bool event_idx);
/* Resets the device; the driver's streams are gone. */
void fake_driver_stop(struct fake_driver *d);
void fake_driver_fini(struct fake_driver *d);

/* Gives receive buffers that were held back to the device. */
void fake_driver_release_rx(struct fake_driver *d);
/* Sends a packet with size bytes of payload, whatever its header says; false: no free slot. */
bool fake_driver_send(struct fake_driver *d, const struct vsock_packet *packet, const void *payload,
                      uint32_t size);
/* The same for a stream, with all fields as they should be. */
bool fake_stream_send(struct fake_driver *d, struct fake_stream *s, uint16_t op, uint32_t flags,
                      uint32_t len);
/* Connects to a port of the host. */
struct fake_stream *fake_driver_connect(struct fake_driver *d, uint32_t host_port, uint8_t seed);
struct fake_stream *fake_driver_find(struct fake_driver *d, uint32_t guest_port,
                                     uint32_t host_port);
/* The application reads all that waits, after having kept it. */
void fake_stream_consume(struct fake_driver *d, struct fake_stream *s);
/* Writes as much of to_send as credit and slots allow. */
void fake_driver_write_all(struct fake_driver *d);

#endif

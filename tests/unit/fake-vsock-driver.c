/* SPDX-License-Identifier: MIT */
/* Implements the guest's vsock driver of the tests; it fails the test when the device overruns it.
 */
#include "tests/unit/cmocka-prelude.h"

#include <stdlib.h>
#include <sys/epoll.h>

#include <linux/virtio_config.h>

#include "tests/unit/fake-vsock-driver.h"

#define RX_SIZE     128u
#define TX_SIZE     128u
#define EVENT_SIZE  4u
#define RX_BUFFERS  (RX_SIZE / 2)
#define HEADER      ((uint32_t)VSOCK_HEADER_BYTES)
#define RX_SLOT     8192u
#define TX_SLOT     (FAKE_PACKET_MAX + 4096u)
#define RX_GPA      0x100000u
#define TX_GPA      0x200000u
#define EVENT_GPA   0xf0000u
#define RAM_BYTES   (TX_GPA + FAKE_TX_SLOTS * TX_SLOT)
#define GUEST_ALLOC 65536u

/* Receive buffers look like Linux 6.1's: header and payload are two descriptors. */
static void offer_rx(struct fake_driver *d, uint16_t head)
{
    uint64_t gpa = RX_GPA + (uint64_t)head / 2 * RX_SLOT;

    fake_queue_desc(&d->rx, head, gpa, HEADER, VRING_DESC_F_WRITE | VRING_DESC_F_NEXT,
                    (uint16_t)(head + 1));
    fake_queue_desc(&d->rx, head + 1, gpa + 4096 - 3, d->rx_payload, VRING_DESC_F_WRITE, 0);
    fake_queue_offer(&d->rx, head);
}

struct fake_stream *fake_driver_find(struct fake_driver *d, uint32_t guest_port, uint32_t host_port)
{
    for (unsigned int i = 0; i < d->stream_count; i++)
        if (d->stream[i].guest_port == guest_port && d->stream[i].host_port == host_port)
            return &d->stream[i];
    return NULL;
}

static struct fake_stream *add_stream(struct fake_driver *d, uint32_t guest_port,
                                      uint32_t host_port, uint8_t seed)
{
    struct fake_stream *s = &d->stream[d->stream_count++];

    assert_true(d->stream_count <= FAKE_MAX_STREAMS);
    *s = (struct fake_stream){
        .guest_port = guest_port,
        .host_port = host_port,
        .seed = seed,
        .used = true,
        .buf_alloc = GUEST_ALLOC,
    };
    return s;
}

static void drain_tx(struct fake_driver *d)
{
    uint32_t id, len;

    while (fake_queue_used(&d->tx, &id, &len)) {
        assert_int_equal(len, 0);
        d->tx_free |= 1u << id / 2;
    }
}

bool fake_driver_send(struct fake_driver *d, const struct vsock_packet *packet, const void *payload,
                      uint32_t size)
{
    const struct virtio_vsock_hdr hdr = vsock_packet_encode(packet);
    unsigned int slot;
    uint64_t gpa;

    if (d->tx_free == 0) {
        /* As if the device ran on another processor meanwhile. */
        d->dev->ops->kick(d->dev, 1);
        drain_tx(d);
    }
    if (d->tx_free == 0)
        return false;
    slot = (unsigned int)__builtin_ctz(d->tx_free);
    d->tx_free &= ~(1u << slot);
    gpa = TX_GPA + (uint64_t)slot * TX_SLOT;
    memcpy(d->ram + gpa, &hdr, sizeof(hdr));
    if (size > 0)
        memcpy(d->ram + gpa + HEADER, payload, size);
    /* The header ends within the first descriptor's successor now and then. */
    if (slot % 2 == 0 && size > 0) {
        fake_queue_desc(&d->tx, slot * 2, gpa, HEADER - 4, VRING_DESC_F_NEXT,
                        (uint16_t)(slot * 2 + 1));
        fake_queue_desc(&d->tx, slot * 2 + 1, gpa + HEADER - 4, size + 4, 0, 0);
    } else {
        fake_queue_desc(&d->tx, slot * 2, gpa, HEADER + size, 0, 0);
    }
    fake_queue_offer(&d->tx, (uint16_t)(slot * 2));
    fake_queue_kick(&d->tx);
    return true;
}

bool fake_stream_send(struct fake_driver *d, struct fake_stream *s, uint16_t op, uint32_t flags,
                      uint32_t len)
{
    static uint8_t payload[FAKE_PACKET_MAX];
    const struct vsock_packet packet = {
        .src_cid = FAKE_CID,
        .dst_cid = VSOCK_HOST_CID,
        .src_port = s->guest_port,
        .dst_port = s->host_port,
        .len = len,
        .type = VIRTIO_VSOCK_TYPE_STREAM,
        .op = op,
        .flags = flags,
        .buf_alloc = s->buf_alloc,
        .fwd_cnt = s->fwd_cnt,
    };

    for (uint32_t i = 0; i < len; i++)
        payload[i] = vsock_pattern(s->seed, s->tx_cnt + i);
    if (!fake_driver_send(d, &packet, payload, len))
        return false;
    s->tx_cnt += len;
    if (op == VIRTIO_VSOCK_OP_RST)
        s->closed = true;
    return true;
}

struct fake_stream *fake_driver_connect(struct fake_driver *d, uint32_t host_port, uint8_t seed)
{
    struct fake_stream *s = add_stream(d, 10000 + d->stream_count, host_port, seed);

    assert_true(fake_stream_send(d, s, VIRTIO_VSOCK_OP_REQUEST, 0, 0));
    return s;
}

void fake_stream_consume(struct fake_driver *d, struct fake_stream *s)
{
    s->fwd_cnt = s->rx_cnt;
    assert_true(fake_stream_send(d, s, VIRTIO_VSOCK_OP_CREDIT_UPDATE, 0, 0));
}

static void receive_data(struct fake_driver *d, struct fake_stream *s,
                         const struct vsock_packet *packet, const uint8_t *payload)
{
    assert_true(s->open);
    assert_true(packet->len > 0);
    /* The device must never send what there is no credit for. */
    assert_true(packet->len <= s->buf_alloc - (s->rx_cnt - s->fwd_cnt));
    assert_true((s->host_shut & VSOCK_SHUT_SEND) == 0);
    for (uint32_t i = 0; i < packet->len; i++)
        assert_int_equal(payload[i], vsock_pattern(s->seed, s->rx_cnt + i));
    s->rx_cnt += packet->len;
    if (!s->keeps && s->rx_cnt - s->fwd_cnt > s->buf_alloc / 2)
        fake_stream_consume(d, s);
}

static void receive(struct fake_driver *d, const struct vsock_packet *packet,
                    const uint8_t *payload)
{
    struct fake_stream *s = fake_driver_find(d, packet->dst_port, packet->src_port);

    d->packets++;
    assert_int_equal(packet->src_cid, VSOCK_HOST_CID);
    assert_int_equal(packet->dst_cid, FAKE_CID);
    if (s == NULL && packet->op == VIRTIO_VSOCK_OP_REQUEST && d->listens && !d->ignores) {
        s = add_stream(d, packet->dst_port, packet->src_port, (uint8_t)packet->dst_port);
        s->open = true;
        assert_true(fake_stream_send(d, s, VIRTIO_VSOCK_OP_RESPONSE, 0, 0));
    }
    if (s == NULL) {
        struct vsock_packet rst = vsock_packet_refusal(packet);

        if (packet->op == VIRTIO_VSOCK_OP_RST)
            d->refusals++;
        else if (!d->ignores)
            assert_true(fake_driver_send(d, &rst, NULL, 0));
        return;
    }
    s->peer_buf_alloc = packet->buf_alloc;
    s->peer_fwd_cnt = packet->fwd_cnt;
    switch (packet->op) {
    case VIRTIO_VSOCK_OP_RESPONSE:
        s->open = true;
        break;
    case VIRTIO_VSOCK_OP_RW:
        receive_data(d, s, packet, payload);
        break;
    case VIRTIO_VSOCK_OP_SHUTDOWN:
        s->host_shut = packet->flags;
        if (s->host_shut == VSOCK_SHUT_BOTH && !d->ignores)
            assert_true(fake_stream_send(d, s, VIRTIO_VSOCK_OP_RST, 0, 0));
        break;
    case VIRTIO_VSOCK_OP_RST:
        s->closed = true;
        break;
    case VIRTIO_VSOCK_OP_CREDIT_UPDATE:
        s->credit_updates++;
        break;
    case VIRTIO_VSOCK_OP_CREDIT_REQUEST:
        s->credit_requests++;
        break;
    default:
        assert_int_equal(packet->op, VIRTIO_VSOCK_OP_REQUEST);
        break;
    }
}

void fake_driver_release_rx(struct fake_driver *d)
{
    if (d->rx_owned == 0)
        return;
    while (d->rx_owned > 0)
        offer_rx(d, d->rx_owned_head[--d->rx_owned]);
    fake_queue_kick(&d->rx);
}

static void drain_rx(struct fake_driver *d)
{
    uint32_t id, len;

    while (fake_queue_used(&d->rx, &id, &len)) {
        const uint8_t *slot = d->ram + RX_GPA + (size_t)id / 2 * RX_SLOT;
        struct virtio_vsock_hdr hdr;
        struct vsock_packet packet;

        memcpy(&hdr, slot, sizeof(hdr));
        packet = vsock_packet_decode(&hdr);
        assert_int_equal(len, HEADER + packet.len);
        d->rx_owned_head[d->rx_owned++] = (uint16_t)id;
        receive(d, &packet, slot + 4096 - 3);
    }
    if (!d->rx_held)
        fake_driver_release_rx(d);
}

static void on_rx_irq(void *opaque, uint32_t events)
{
    struct fake_driver *d = opaque;

    (void)events;
    (void)fake_queue_interrupted(&d->rx);
    drain_rx(d);
    if (d->rx.vq->event_idx) {
        fake_queue_set_used_event(&d->rx, d->rx.used_idx);
        drain_rx(d);
    }
    fake_driver_write_all(d); /* there may be credit anew */
}

static void on_tx_irq(void *opaque, uint32_t events)
{
    struct fake_driver *d = opaque;

    (void)events;
    (void)fake_queue_interrupted(&d->tx);
    drain_tx(d);
    if (d->tx.vq->event_idx) {
        fake_queue_set_used_event(&d->tx, d->tx.used_idx);
        drain_tx(d);
    }
    fake_driver_write_all(d);
}

void fake_driver_write_all(struct fake_driver *d)
{
    bool progress = true;

    while (progress) {
        progress = false;
        for (unsigned int i = 0; i < d->stream_count; i++) {
            struct fake_stream *s = &d->stream[i];
            uint32_t credit = s->peer_buf_alloc - (s->tx_cnt - s->peer_fwd_cnt);
            /* Sizes vary, so that rings wrap at every place. */
            uint32_t size = 1 + (s->tx_cnt * 2654435761u >> 7) % FAKE_PACKET_MAX;

            if (!s->open || s->closed || s->to_send == 0 || credit == 0)
                continue;
            /* Leave slots for control packets. */
            if (__builtin_popcount(d->tx_free) <= 16)
                return;
            if (size > credit)
                size = credit;
            if (size > s->to_send)
                size = (uint32_t)s->to_send;
            if (!fake_stream_send(d, s, VIRTIO_VSOCK_OP_RW, 0, size))
                return;
            s->to_send -= size;
            progress = true;
        }
    }
}

void fake_driver_init(struct fake_driver *d, struct event_loop *loop, struct virtio_device *dev)
{
    d->loop = loop;
    d->dev = dev;
    d->ram = aligned_alloc(4096, RAM_BYTES);
    d->rx_payload = 4096;
    assert_non_null(d->ram);
    assert_int_equal(guest_memory_add(&d->memory, 0, RAM_BYTES, d->ram, 0), 0);
}

void fake_driver_start(struct fake_driver *d, bool event_idx)
{
    struct virtio_device *dev = d->dev;

    fake_queue_init(&d->rx, &dev->queue[0], d->ram, 0x1000, RX_SIZE);
    fake_queue_init(&d->tx, &dev->queue[1], d->ram, 0x4000, TX_SIZE);
    fake_queue_init(&d->event, &dev->queue[2], d->ram, 0x7000, EVENT_SIZE);
    d->tx_free = UINT32_MAX;
    d->rx_owned = 0;
    d->rx_irq = event_add(d->loop, d->rx.call_fd, EPOLLIN, on_rx_irq, d);
    d->tx_irq = event_add(d->loop, d->tx.call_fd, EPOLLIN, on_tx_irq, d);
    for (uint16_t i = 0; i < RX_BUFFERS; i++)
        offer_rx(d, (uint16_t)(i * 2));
    dev->driver_features = 1ULL << VIRTIO_F_VERSION_1;
    if (event_idx)
        dev->driver_features |= 1ULL << VIRTIO_RING_F_EVENT_IDX;
    assert_int_equal(virtio_device_start(dev, &d->memory), 0);
}

void fake_driver_stop(struct fake_driver *d)
{
    virtio_device_stop(d->dev);
    event_remove(d->rx_irq);
    event_remove(d->tx_irq);
    fake_queue_fini(&d->rx);
    fake_queue_fini(&d->tx);
    fake_queue_fini(&d->event);
    d->stream_count = 0;
}

void fake_driver_fini(struct fake_driver *d)
{
    free(d->ram);
}

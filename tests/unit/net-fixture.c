/* SPDX-License-Identifier: MIT */
/* Implements the driver's side of a virtio-net device. */
#include "tests/unit/cmocka-prelude.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_config.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "tests/unit/net-fixture.h"

static void on_timer(void *opaque)
{
    event_loop_quit(opaque);
}

void net_turn(struct net_fixture *f)
{
    event_timer_set(f->timer, 1);
    assert_int_equal(event_loop_run(f->loop, NULL), 0);
}

static void on_config_changed(struct virtio_device *dev)
{
    ((struct net_fixture *)dev->transport)->config_changes++;
}

static void set_up(struct net_fixture *f)
{
    memset(f, 0, sizeof(*f));
    f->peer = -1;
    f->ring = NET_RING;
    f->loop = event_loop_new(NULL);
    f->timer = event_timer_add(f->loop, on_timer, f->loop);
    f->ram = aligned_alloc(4096, NET_RAM_BYTES);
    memset(f->ram, 0, NET_RAM_BYTES);
    assert_int_equal(guest_memory_add(&f->memory, 0, NET_RAM_BYTES, f->ram, 0), 0);
}

void net_fixture_attach(struct net_fixture *f, unsigned int vcpus)
{
    struct nic nic = f->nic;
    struct crosh_error err = {0};

    set_up(f);
    f->nic = nic;
    f->dev = virtio_net_new(f->loop, &f->nic, vcpus, &err);
    assert_non_null(f->dev);
    f->dev->transport = f;
    f->dev->config_changed = on_config_changed;
    f->pairs = f->dev->queue_count / 2;
}

void net_fixture_init(struct net_fixture *f)
{
    struct crosh_error err = {0};
    int pair[2], peer;

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    assert_int_equal(nic_parse("socket-fd=99,mac=02:03:04:05:06:07", &f->nic, &err), 0);
    f->nic.fd[0] = pair[0];
    assert_int_equal(nic_open(&f->nic, "vm", 0, 1, &err), 0);
    peer = pair[1];
    net_fixture_attach(f, 1);
    f->peer = peer;
}

void net_fixture_start(struct net_fixture *f, uint64_t features)
{
    for (unsigned int i = 0; i < f->pairs; i++) {
        fake_queue_init(&f->rx[i], &f->dev->queue[2 * i], f->ram, 0x1000 + i * 0x4000, f->ring);
        fake_queue_init(&f->tx[i], &f->dev->queue[2 * i + 1], f->ram, 0x3000 + i * 0x4000,
                        NET_RING);
    }
    if (f->dev->queue_count % 2 == 1)
        fake_queue_init(&f->ctrl, &f->dev->queue[2 * f->pairs], f->ram, 0xb000, NET_RING);
    f->tx_next = 0;
    f->dev->driver_features = features | NET_FEATURE(VIRTIO_F_VERSION_1);
    assert_int_equal(virtio_device_start(f->dev, &f->memory), 0);
}

static void close_queues(struct net_fixture *f)
{
    for (unsigned int i = 0; i < f->pairs; i++) {
        if (f->rx[i].vq == NULL)
            continue;
        fake_queue_fini(&f->rx[i]);
        fake_queue_fini(&f->tx[i]);
    }
    if (f->ctrl.vq != NULL)
        fake_queue_fini(&f->ctrl);
}

void net_fixture_fini(struct net_fixture *f)
{
    virtio_net_free(f->dev);
    close_queues(f);
    nic_close(&f->nic);
    event_loop_free(f->loop);
    if (f->peer >= 0)
        close(f->peer);
    free(f->ram);
}

void net_add_buffers(struct net_fixture *f, unsigned int first, unsigned int count, uint32_t bytes)
{
    f->rx_bytes = bytes;
    for (unsigned int i = first; i < first + count; i++) {
        fake_queue_desc(&f->rx[0], i, NET_RX_GPA + (uint64_t)i * bytes, bytes, VRING_DESC_F_WRITE,
                        0);
        fake_queue_offer(&f->rx[0], (uint16_t)i);
    }
    fake_queue_kick(&f->rx[0]);
}

size_t net_take_frame(struct net_fixture *f, uint8_t *frame, struct virtio_net_hdr_v1 *header,
                      bool refill)
{
    uint32_t id, length;
    size_t size = 0, skip = NET_HEADER;
    unsigned int count = 1;

    for (unsigned int i = 0; i < count; i++) {
        const uint8_t *from;

        if (!fake_queue_used(&f->rx[0], &id, &length)) {
            assert_int_equal(i, 0); /* all buffers of a frame, or none */
            return 0;
        }
        assert_in_range(id, 0, f->ring - 1);
        assert_in_range(length, i == 0 ? NET_HEADER : 1, f->rx_bytes);
        from = f->ram + NET_RX_GPA + id * f->rx_bytes;
        if (i == 0) {
            memcpy(header, from, sizeof(*header));
            count = header->num_buffers;
            assert_in_range(count, 1, NET_RING);
        }
        memcpy(frame + size, from + skip, length - skip);
        size += length - skip;
        skip = 0;
        if (refill)
            fake_queue_offer(&f->rx[0], (uint16_t)id);
    }
    if (refill)
        fake_queue_kick(&f->rx[0]);
    return size;
}

void net_send_frame(struct net_fixture *f, unsigned int pair,
                    const struct virtio_net_hdr_v1 *header, const uint8_t *frame, size_t size)
{
    struct fake_queue *tx = &f->tx[pair];
    unsigned int slot = f->tx_next++ % (NET_RING / 2);
    uint64_t gpa = NET_TX_GPA + (uint64_t)slot * NET_TX_STRIDE;
    uint32_t first = 5, all = (uint32_t)(NET_HEADER + size);

    memcpy(f->ram + gpa, header, NET_HEADER);
    memcpy(f->ram + gpa + NET_HEADER, frame, size);
    fake_queue_desc(tx, 2 * slot, gpa, first, VRING_DESC_F_NEXT, (uint16_t)(2 * slot + 1));
    fake_queue_desc(tx, 2 * slot + 1, gpa + first, all - first, 0, 0);
    fake_queue_offer(tx, (uint16_t)(2 * slot));
    fake_queue_kick(tx);
}

unsigned int net_sent(struct net_fixture *f, unsigned int pair)
{
    unsigned int count = 0;
    uint32_t id, length;

    for (; fake_queue_used(&f->tx[pair], &id, &length); count++)
        assert_int_equal(length, 0);
    return count;
}

uint8_t net_command(struct net_fixture *f, uint8_t class, uint8_t command, const void *data,
                    size_t size)
{
    uint8_t *out = f->ram + NET_CTRL_GPA;
    uint32_t id, length = 0;

    out[0] = class;
    out[1] = command;
    memcpy(out + 2, data, size);
    out[0x100] = 0xee;
    fake_queue_desc(&f->ctrl, 0, NET_CTRL_GPA, (uint32_t)(2 + size), VRING_DESC_F_NEXT, 1);
    fake_queue_desc(&f->ctrl, 1, NET_CTRL_GPA + 0x100, 1, VRING_DESC_F_WRITE, 0);
    fake_queue_offer(&f->ctrl, 0);
    fake_queue_kick(&f->ctrl);
    net_wait_for(f, fake_queue_used(&f->ctrl, &id, &length) || length != 0);
    assert_int_equal(length, 1);
    return out[0x100];
}

void net_peer_write(struct net_fixture *f, const void *data, size_t size)
{
    assert_int_equal(send(f->peer, data, size, MSG_NOSIGNAL), size);
}

void net_peer_send(struct net_fixture *f, const uint8_t *frame, size_t size)
{
    uint32_t length = htonl((uint32_t)size);

    net_peer_write(f, &length, sizeof(length));
    net_peer_write(f, frame, size);
}

static void net_peer_read(struct net_fixture *f, void *data, size_t size)
{
    struct pollfd poll_fd = {.fd = f->peer, .events = POLLIN};
    uint8_t *to = data;

    while (size > 0) {
        ssize_t n;

        assert_int_equal(poll(&poll_fd, 1, 10000), 1);
        n = recv(f->peer, to, size, 0);
        assert_true(n > 0);
        to += n;
        size -= (size_t)n;
    }
}

size_t net_peer_receive(struct net_fixture *f, uint8_t *frame)
{
    uint32_t length;

    net_peer_read(f, &length, sizeof(length));
    length = ntohl(length);
    assert_in_range(length, NET_FRAME_MIN, NET_FRAME_MAX);
    net_peer_read(f, frame, length);
    return length;
}

void net_make_frame(uint8_t *frame, size_t size, uint8_t seed)
{
    static const uint8_t ethernet[14] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2,
                                         0,    0,    0,    0,    1,    0x88, 0xb5};

    for (size_t i = 0; i < size; i++)
        frame[i] = (uint8_t)(seed + i * 7 + i / 251);
    memcpy(frame, ethernet, sizeof(ethernet));
}

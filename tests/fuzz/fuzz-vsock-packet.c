/* SPDX-License-Identifier: MIT */
/* Fuzzes the vsock device: the input is a sequence of what a guest and a host may do to it. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/virtio_config.h>

#include "kvm/virtio/vsock-packet.h"
#include "kvm/virtio/vsock.h"
#include "tests/unit/fake-queue.h"

#define RAM_BYTES (1u << 19)
#define CID       3u
#define RX_GPA    0x10000u
#define TX_GPA    0x30000u
#define QUEUE     16u
#define PORTS     4u
#define MAX_FDS   32u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
    const uint8_t *data;
    size_t size;
};

struct host {
    int fd[MAX_FDS];
    unsigned int count;
};

static uint32_t take(struct input *in, unsigned int bytes)
{
    uint32_t value = 0;

    while (bytes-- > 0 && in->size > 0) {
        value = value << 8 | *in->data++;
        in->size--;
    }
    return value;
}

static bool on_accept(void *opaque, int fd)
{
    struct host *host = opaque;

    if (host->count == MAX_FDS) {
        (void)close(fd);
        return false;
    }
    host->fd[host->count++] = fd;
    return true;
}

static void on_timer(void *opaque)
{
    event_loop_quit(opaque);
}

static void send_packet(struct input *in, struct fake_queue *tx)
{
    uint32_t choice = take(in, 1), size = take(in, 1) * 16;
    const struct vsock_packet packet = {
        .src_cid = (choice & 1) != 0 ? CID : take(in, 1),
        .dst_cid = (choice & 2) != 0 ? VSOCK_HOST_CID : take(in, 1),
        .src_port = take(in, 1) % PORTS,
        .dst_port = take(in, 1) % PORTS,
        .len = (choice & 4) != 0 ? size : take(in, 4),
        .type = (choice & 8) != 0 ? VIRTIO_VSOCK_TYPE_STREAM : (uint16_t)take(in, 1),
        .op = (uint16_t)(take(in, 1) % 10),
        .flags = take(in, 1),
        .buf_alloc = (choice & 16) != 0 ? 1u << 20 : take(in, 4),
        .fwd_cnt = (choice & 32) != 0 ? 0 : take(in, 4),
    };
    const struct virtio_vsock_hdr hdr = vsock_packet_encode(&packet);
    uint16_t slot = tx->avail_idx % QUEUE;
    uint64_t gpa = TX_GPA + slot * 8192u;

    memcpy(tx->ram + gpa, &hdr, sizeof(hdr));
    fake_queue_desc(tx, slot, gpa, (uint32_t)sizeof(hdr) + size, 0, 0);
    fake_queue_offer(tx, slot);
    fake_queue_kick(tx);
}

static void give_buffer(struct input *in, struct fake_queue *rx)
{
    uint16_t slot = rx->avail_idx % QUEUE;

    fake_queue_desc(rx, slot, RX_GPA + slot * 4096u, 46 + take(in, 1) * 8, VRING_DESC_F_WRITE, 0);
    fake_queue_offer(rx, slot);
    fake_queue_kick(rx);
}

static void act_as_host(struct input *in, struct host *host)
{
    static uint8_t buf[8192];
    uint32_t choice = take(in, 1);
    unsigned int at;
    int fd;

    if (host->count == 0)
        return;
    at = choice / 4 % host->count;
    fd = host->fd[at];
    if (choice % 4 == 0) {
        (void)send(fd, buf, take(in, 1) * 32, MSG_NOSIGNAL);
    } else if (choice % 4 == 1) {
        (void)!read(fd, buf, sizeof(buf));
    } else if (choice % 4 == 2) {
        (void)shutdown(fd, (int)(take(in, 1) % 3));
    } else {
        (void)close(fd);
        host->count--;
        host->fd[at] = host->fd[host->count];
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct vsock_config config = {
        .guest_cid = CID, .max_connections = 8, .buffer_bytes = 4096};
    struct input in = {data, size};
    struct host host = {.count = 0};
    struct guest_memory memory = {.count = 0};
    struct event_loop *loop = event_loop_new(NULL);
    struct event_source *timer = event_timer_add(loop, on_timer, loop);
    struct virtio_device *dev = vsock_new(loop, &config, NULL);
    uint8_t *ram = aligned_alloc(4096, RAM_BYTES);
    struct fake_queue rx, tx;

    memset(ram, 0, RAM_BYTES);
    for (uint32_t port = 0; port < PORTS; port++)
        (void)vsock_listen(dev, port, on_accept, &host);
    fake_queue_init(&rx, &dev->queue[0], ram, 0x1000, QUEUE);
    fake_queue_init(&tx, &dev->queue[1], ram, 0x4000, QUEUE);
    dev->driver_features = 1ULL << VIRTIO_F_VERSION_1;
    if (guest_memory_add(&memory, 0, RAM_BYTES, ram, 0) < 0 ||
        virtio_device_start(dev, &memory) < 0)
        abort();
    while (in.size > 0) {
        switch (take(&in, 1) % 4) {
        case 0:
            send_packet(&in, &tx);
            break;
        case 1:
            give_buffer(&in, &rx);
            break;
        case 2:
            act_as_host(&in, &host);
            break;
        default:
            event_timer_set(timer, 0);
            (void)event_loop_run(loop, NULL);
            break;
        }
    }
    vsock_free(dev);
    event_loop_free(loop);
    while (host.count > 0)
        (void)close(host.fd[--host.count]);
    fake_queue_fini(&rx);
    fake_queue_fini(&tx);
    free(ram);
    return 0;
}

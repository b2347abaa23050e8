/* SPDX-License-Identifier: MIT */
/* Tests when the vsock device interrupts its driver, and by how many interrupts. */
#include "tests/unit/cmocka-prelude.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include <linux/virtio_config.h>

#include "kvm/virtio/vsock-packet.h"
#include "kvm/virtio/vsock.h"
#include "tests/unit/fake-queue.h"

#define CID        3u
#define PORT       1u
#define RAM_BYTES  (1u << 18)
#define RX_GPA     0x10000u
#define TX_GPA     0x20000u
#define SLOT_BYTES 1024u
#define QUEUE      16u
#define DATA_BYTES 100u

enum { RX, TX };

/* The device is called by hand: its timers run only when a test lets the loop run. */
struct fixture {
    struct event_loop *loop;
    struct event_source *told;
    struct virtio_device *dev;
    struct guest_memory memory;
    uint8_t *ram;
    struct fake_queue rx, tx;
    int host_fd;
};

static bool on_accept(void *opaque, int fd)
{
    struct fixture *f = opaque;

    f->host_fd = fd;
    return true;
}

static void on_told(void *opaque, uint32_t events)
{
    struct fixture *f = opaque;

    (void)events;
    if (fake_queue_interrupted(&f->tx))
        event_loop_quit(f->loop);
}

static int set_up(void **state)
{
    const struct vsock_config config = {.guest_cid = CID};
    struct fixture *f = calloc(1, sizeof(*f));

    *state = f;
    f->host_fd = -1;
    f->ram = aligned_alloc(4096, RAM_BYTES);
    memset(f->ram, 0, RAM_BYTES);
    f->loop = event_loop_new(NULL);
    f->dev = vsock_new(f->loop, &config, NULL);
    assert_int_equal(vsock_listen(f->dev, PORT, on_accept, f), 0);
    fake_queue_init(&f->rx, &f->dev->queue[RX], f->ram, 0x1000, QUEUE);
    fake_queue_init(&f->tx, &f->dev->queue[TX], f->ram, 0x4000, QUEUE);
    f->told = event_add(f->loop, f->tx.call_fd, 1, on_told, f);
    f->dev->driver_features = 1ULL << VIRTIO_F_VERSION_1;
    assert_int_equal(guest_memory_add(&f->memory, 0, RAM_BYTES, f->ram, 0), 0);
    for (uint16_t i = 0; i < QUEUE; i++) {
        fake_queue_desc(&f->rx, i, RX_GPA + i * SLOT_BYTES, SLOT_BYTES, VRING_DESC_F_WRITE, 0);
        fake_queue_offer(&f->rx, i);
    }
    assert_int_equal(virtio_device_start(f->dev, &f->memory), 0);
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    vsock_free(f->dev);
    event_loop_free(f->loop);
    fake_queue_fini(&f->rx);
    fake_queue_fini(&f->tx);
    if (f->host_fd >= 0)
        (void)close(f->host_fd);
    free(f->ram);
    free(f);
    return 0;
}

static void send_packet(struct fixture *f, uint16_t op, uint32_t len)
{
    const struct vsock_packet packet = {
        .src_cid = CID,
        .dst_cid = VSOCK_HOST_CID,
        .src_port = 7,
        .dst_port = PORT,
        .len = len,
        .type = VIRTIO_VSOCK_TYPE_STREAM,
        .op = op,
        .buf_alloc = 65536,
    };
    const struct virtio_vsock_hdr hdr = vsock_packet_encode(&packet);
    uint16_t slot = f->tx.avail_idx % QUEUE;

    memcpy(f->ram + TX_GPA + slot * SLOT_BYTES, &hdr, sizeof(hdr));
    fake_queue_desc(&f->tx, slot, TX_GPA + slot * SLOT_BYTES, (uint32_t)sizeof(hdr) + len, 0, 0);
    fake_queue_offer(&f->tx, slot);
    f->dev->ops->kick(f->dev, TX);
}

static uint64_t interrupts(const struct fixture *f, unsigned int queue)
{
    return virtqueue_get_figures(&f->dev->queue[queue]).interrupts;
}

/* The interrupt of the answer brings along that of the packet taken. */
static void test_together(void **state)
{
    struct fixture *f = *state;

    send_packet(f, VIRTIO_VSOCK_OP_REQUEST, 0);
    assert_int_equal(interrupts(f, RX), 1);
    assert_int_equal(interrupts(f, TX), 1);
}

static void test_shared(void **state)
{
    struct fixture *f = *state;
    uint64_t count;

    f->dev->queue[RX].call_fd = f->tx.call_fd;
    send_packet(f, VIRTIO_VSOCK_OP_REQUEST, 0);
    assert_int_equal(read(f->tx.call_fd, &count, sizeof(count)), sizeof(count));
    assert_int_equal(count, 1);
    /* And the driver is owed nothing more. */
    virtio_device_stop(f->dev);
    assert_false(fake_queue_interrupted(&f->tx));
}

/* Packets without an answer: told of by the timer at the latest. */
static void test_put_off(void **state)
{
    struct fixture *f = *state;

    send_packet(f, VIRTIO_VSOCK_OP_REQUEST, 0);
    (void)fake_queue_interrupted(&f->tx);
    for (unsigned int round = 1; round <= 2; round++) {
        for (unsigned int i = 0; i < QUEUE / 4 - 1; i++)
            send_packet(f, VIRTIO_VSOCK_OP_RW, DATA_BYTES);
        assert_int_equal(interrupts(f, TX), round);
        assert_int_equal(event_loop_run(f->loop, NULL), 0);
        assert_int_equal(interrupts(f, TX), round + 1);
    }
    assert_int_equal(interrupts(f, RX), 1);
}

static void test_quarter(void **state)
{
    struct fixture *f = *state;

    send_packet(f, VIRTIO_VSOCK_OP_REQUEST, 0);
    for (unsigned int i = 0; i < QUEUE; i++) {
        send_packet(f, VIRTIO_VSOCK_OP_RW, DATA_BYTES);
        assert_int_equal(interrupts(f, TX), 1 + (i + 1) / (QUEUE / 4));
    }
}

/* Whoever takes the rings back finds nothing untold. */
static void test_stop(void **state)
{
    struct fixture *f = *state;

    send_packet(f, VIRTIO_VSOCK_OP_REQUEST, 0);
    send_packet(f, VIRTIO_VSOCK_OP_RW, DATA_BYTES);
    assert_int_equal(interrupts(f, TX), 1);
    virtio_device_stop(f->dev);
    assert_int_equal(interrupts(f, TX), 2);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_together), TEST(test_shared), TEST(test_put_off),
        TEST(test_quarter),  TEST(test_stop),
    };

    (void)alarm(60); /* an interrupt that never comes ends the test, too */
    return cmocka_run_group_tests(tests, NULL, NULL);
}

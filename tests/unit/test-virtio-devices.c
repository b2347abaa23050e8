/* SPDX-License-Identifier: MIT */
/* Tests virtio-rng and virtio-console, and what device.c does for every device. */
#include "tests/unit/cmocka-prelude.h"

#include <errno.h>
#include <stdlib.h>

#include <linux/virtio_config.h>
#include <linux/virtio_console.h>

#include "kvm/virtio/console.h"
#include "kvm/virtio/rng.h"
#include "tests/unit/fake-queue.h"

#define RAM_BYTES (1u << 21)
#define DATA_GPA  0x10000u
#define FEATURES  (1ULL << VIRTIO_F_VERSION_1)
#define INPUT_MAX (64u * 1024) /* what the console keeps */

struct fixture {
    struct event_loop *loop;
    struct event_source *timer;
    struct guest_memory memory;
    uint8_t *ram;
    struct virtio_device *rng, *console;
    struct fake_queue q, rx, tx;
    size_t output_bytes;
    uint8_t output[RAM_BYTES];
    unsigned int started, config_changes;
};

static void on_timer(void *opaque)
{
    event_loop_quit(opaque);
}

static void run(struct fixture *f)
{
    event_timer_set(f->timer, 5);
    assert_int_equal(event_loop_run(f->loop, NULL), 0);
}

static void on_output(void *opaque, const void *data, size_t size)
{
    struct fixture *f = opaque;

    memcpy(f->output + f->output_bytes, data, size);
    f->output_bytes += size;
}

static void on_start(void *opaque)
{
    ((struct fixture *)opaque)->started++;
}

static void on_config_changed(struct virtio_device *dev)
{
    ((struct fixture *)dev->transport)->config_changes++;
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    *state = f;
    f->loop = event_loop_new(NULL);
    f->timer = event_timer_add(f->loop, on_timer, f->loop);
    f->ram = aligned_alloc(4096, RAM_BYTES);
    memset(f->ram, 0, RAM_BYTES);
    assert_int_equal(guest_memory_add(&f->memory, 0, RAM_BYTES, f->ram, 0), 0);
    f->rng = virtio_rng_new(f->loop, NULL);
    f->console = virtio_console_new(f->loop, on_output, f, NULL);
    f->console->transport = f;
    f->console->config_changed = on_config_changed;
    fake_queue_init(&f->q, &f->rng->queue[0], f->ram, 0x1000, 8);
    fake_queue_init(&f->rx, &f->console->queue[0], f->ram, 0x4000, 64);
    fake_queue_init(&f->tx, &f->console->queue[1], f->ram, 0x8000, 64);
    f->rng->driver_features = f->console->driver_features = FEATURES;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    virtio_rng_free(f->rng);
    virtio_console_free(f->console);
    fake_queue_fini(&f->q);
    fake_queue_fini(&f->rx);
    fake_queue_fini(&f->tx);
    event_loop_free(f->loop);
    free(f->ram);
    free(f);
    return 0;
}

static void start(struct fixture *f, struct virtio_device *dev)
{
    assert_int_equal(virtio_device_start(dev, &f->memory), 0);
}

static void test_rng(void **state)
{
    static const uint8_t zero[64];
    struct fixture *f = *state;
    uint32_t id, len;

    start(f, f->rng);
    fake_queue_desc(&f->q, 0, DATA_GPA, 32, VRING_DESC_F_WRITE | VRING_DESC_F_NEXT, 1);
    fake_queue_desc(&f->q, 1, DATA_GPA + 64, 32, VRING_DESC_F_WRITE, 0);
    fake_queue_desc(&f->q, 2, DATA_GPA + 0x1000, 1u << 20, VRING_DESC_F_WRITE, 0);
    fake_queue_desc(&f->q, 3, DATA_GPA + 128, 32, 0, 0);
    fake_queue_offer(&f->q, 0);
    fake_queue_offer(&f->q, 2);
    fake_queue_offer(&f->q, 3);
    fake_queue_kick(&f->q);
    run(f);
    assert_true(fake_queue_used(&f->q, &id, &len));
    assert_int_equal(len, 64);
    assert_memory_not_equal(f->ram + DATA_GPA, zero, 32);
    assert_memory_not_equal(f->ram + DATA_GPA + 64, zero, 32);
    assert_memory_equal(f->ram + DATA_GPA + 32, zero, 32);
    assert_true(fake_queue_used(&f->q, &id, &len));
    assert_int_equal(len, 4096); /* no more in one request */
    assert_true(fake_queue_used(&f->q, &id, &len));
    assert_int_equal(len, 0);
    assert_memory_equal(f->ram + DATA_GPA + 128, zero, 32);
    assert_true(fake_queue_interrupted(&f->q));
}

/* Buffers offered before the start, and more of them than one kick may cost. */
static void test_many_requests(void **state)
{
    struct fixture *f = *state;
    uint32_t id = 0, len;

    for (uint16_t i = 0; i < 64; i++) {
        fake_queue_desc(&f->tx, i, DATA_GPA, 1, 0, 0);
        fake_queue_offer(&f->tx, i);
    }
    start(f, f->console);
    for (unsigned int i = 0; i < 64; i++) {
        assert_true(fake_queue_used(&f->tx, &id, &len));
        fake_queue_offer(&f->tx, (uint16_t)id);
    }
    run(f); /* a kick is what the device waits for */
    assert_int_equal(f->output_bytes, 64);
    fake_queue_kick(&f->tx);
    run(f);
    assert_int_equal(f->output_bytes, 128);
}

static void test_console_output(void **state)
{
    struct fixture *f = *state;

    start(f, f->console);
    for (unsigned int i = 0; i < 10000; i++)
        f->ram[DATA_GPA + i] = (uint8_t)(i * 7);
    fake_queue_desc(&f->tx, 0, DATA_GPA, 5000, VRING_DESC_F_NEXT, 1);
    fake_queue_desc(&f->tx, 1, DATA_GPA + 5000, 5000, 0, 0);
    fake_queue_offer(&f->tx, 0);
    fake_queue_kick(&f->tx);
    run(f);
    assert_int_equal(f->output_bytes, 10000);
    assert_memory_equal(f->output, f->ram + DATA_GPA, 10000);
}

static void offer_input(struct fixture *f, uint16_t i, uint32_t size)
{
    fake_queue_desc(&f->rx, i, DATA_GPA + 0x10000u * i, size, VRING_DESC_F_WRITE, 0);
    fake_queue_offer(&f->rx, i);
}

static void test_console_input(void **state)
{
    struct fixture *f = *state;
    uint32_t id, len;

    assert_int_equal(virtio_console_input(f->console, "typed ahead", 11), 11);
    offer_input(f, 0, 5);
    start(f, f->console);
    assert_true(fake_queue_used(&f->rx, &id, &len));
    assert_int_equal(len, 5);
    assert_memory_equal(f->ram + DATA_GPA, "typed", 5);
    offer_input(f, 1, 100);
    fake_queue_kick(&f->rx);
    run(f);
    assert_true(fake_queue_used(&f->rx, &id, &len));
    assert_int_equal(len, 6);
    assert_memory_equal(f->ram + DATA_GPA + 0x10000, " ahead", 6);
    offer_input(f, 2, 100);
    assert_int_equal(virtio_console_input(f->console, "now", 3), 3);
    assert_true(fake_queue_used(&f->rx, &id, &len));
    assert_int_equal(len, 3);
    assert_false(fake_queue_used(&f->rx, &id, &len));
}

/* What does not fit is refused, and the ring may wrap anywhere. */
static void test_console_input_bound(void **state)
{
    struct fixture *f = *state;
    static uint8_t typed[INPUT_MAX + 1000], got[INPUT_MAX];
    uint32_t id, len;

    for (unsigned int i = 0; i < sizeof(typed); i++)
        typed[i] = (uint8_t)(i * 13 + (i >> 8));
    start(f, f->console);
    assert_int_equal(virtio_console_input(f->console, typed, 1000), 1000);
    offer_input(f, 0, 1000);
    fake_queue_kick(&f->rx);
    run(f);
    assert_true(fake_queue_used(&f->rx, &id, &len));
    assert_int_equal(virtio_console_input(f->console, typed, sizeof(typed)), INPUT_MAX);
    assert_int_equal(virtio_console_input(f->console, typed, 1), 0);
    offer_input(f, 1, INPUT_MAX - 10);
    fake_queue_kick(&f->rx);
    run(f);
    assert_true(fake_queue_used(&f->rx, &id, &len));
    assert_int_equal(len, INPUT_MAX - 10);
    memcpy(got, f->ram + DATA_GPA + 0x10000, len);
    assert_memory_equal(got, typed, len);
}

static void test_console_config(void **state)
{
    struct fixture *f = *state;
    struct virtio_console_config config;
    uint8_t beyond[8];

    virtio_console_resize(f->console, 132, 43);
    assert_int_equal(f->config_changes, 0); /* nobody to tell */
    start(f, f->console);
    virtio_console_resize(f->console, 200, 50);
    assert_int_equal(f->config_changes, 1);
    f->console->ops->config_read(f->console, 0, &config, sizeof(config));
    assert_int_equal(config.cols, 200);
    assert_int_equal(config.rows, 50);
    memset(beyond, 0xff, sizeof(beyond));
    f->console->ops->config_read(f->console, sizeof(config) - 4, beyond, 8);
    assert_memory_equal(beyond, "\0\0\0\0\0\0\0\0", 8);
    memset(beyond, 0xff, sizeof(beyond));
    f->console->ops->config_read(f->console, UINT32_MAX, beyond, 8);
    assert_memory_equal(beyond, "\0\0\0\0\0\0\0\0", 8);
}

static void test_start_and_stop(void **state)
{
    struct fixture *f = *state;
    uint32_t id, len;

    f->rng->on_first_start = on_start;
    f->rng->on_first_start_opaque = f;
    f->rng->driver_features = 0;
    assert_int_equal(virtio_device_start(f->rng, &f->memory), -EINVAL); /* legacy */
    f->rng->driver_features = FEATURES;
    f->rng->queue[0].size = 7;
    assert_int_equal(virtio_device_start(f->rng, &f->memory), -EINVAL);
    assert_false(f->rng->started);
    assert_int_equal(f->started, 0);
    fake_queue_fini(&f->q);
    fake_queue_init(&f->q, &f->rng->queue[0], f->ram, 0x1000, 8);
    start(f, f->rng);
    assert_int_equal(virtio_device_start(f->rng, &f->memory), -EBUSY);
    virtio_device_stop(f->rng);
    virtio_device_stop(f->rng);
    assert_int_equal(f->rng->queue[0].size, 0);
    fake_queue_desc(&f->q, 0, DATA_GPA, 4, VRING_DESC_F_WRITE, 0);
    fake_queue_offer(&f->q, 0);
    fake_queue_kick(&f->q);
    run(f);
    assert_false(fake_queue_used(&f->q, &id, &len));
    fake_queue_fini(&f->q);
    fake_queue_init(&f->q, &f->rng->queue[0], f->ram, 0x1000, 8);
    start(f, f->rng);
    assert_int_equal(f->started, 1);
}

/* Nonsense on every queue: nothing but the queue itself breaks. */
static void test_garbage_rings(void **state)
{
    struct fixture *f = *state;

    srandom(3);
    for (int round = 0; round < 300; round++) {
        struct fake_queue *queues[] = {&f->q, &f->rx, &f->tx};

        start(f, f->rng);
        start(f, f->console);
        for (unsigned int i = 0; i < 3; i++) {
            for (uint16_t j = 0; j < queues[i]->size; j++)
                fake_queue_desc(queues[i], j, (uint64_t)random() % (2 * RAM_BYTES),
                                (uint32_t)random() % 10000, (uint16_t)(random() % 8),
                                (uint16_t)(random() % (queues[i]->size + 1)));
            for (int j = 0; j < 5; j++)
                fake_queue_offer(queues[i], (uint16_t)(random() % (queues[i]->size + 1)));
            fake_queue_kick(queues[i]);
        }
        f->output_bytes = 0;
        (void)virtio_console_input(f->console, "x", 1);
        event_timer_set(f->timer, 0);
        assert_int_equal(event_loop_run(f->loop, NULL), 0);
        virtio_device_stop(f->rng);
        virtio_device_stop(f->console);
        for (unsigned int i = 0; i < 3; i++) {
            struct virtqueue *vq = queues[i]->vq;
            uint16_t size = queues[i]->size;

            fake_queue_fini(queues[i]);
            fake_queue_init(queues[i], vq, f->ram, i == 0 ? 0x1000 : 0x4000u * i, size);
        }
    }
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_rng),
        TEST(test_many_requests),
        TEST(test_console_output),
        TEST(test_console_input),
        TEST(test_console_input_bound),
        TEST(test_console_config),
        TEST(test_start_and_stop),
        TEST(test_garbage_rings),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

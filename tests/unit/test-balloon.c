/* SPDX-License-Identifier: MIT */
/* Tests virtio-balloon: pages, reports, statistics, and what becomes of the host's memory. */
#include "tests/unit/cmocka-prelude.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>

#include <linux/virtio_balloon.h>
#include <linux/virtio_config.h>

#include "kvm/virtio/balloon.h"
#include "tests/unit/fake-queue.h"

#define MIB       (1u << 20)
#define RAM_BYTES (16u * MIB)
#define DATA_GPA  0x40000u
#define PAGES_GPA (2u * MIB) /* the guest's pages that the tests are about */
#define FEATURES                                                                                   \
    (1ULL << VIRTIO_F_VERSION_1 | 1ULL << VIRTIO_BALLOON_F_STATS_VQ |                              \
     1ULL << VIRTIO_BALLOON_F_REPORTING)

enum { INFLATE, DEFLATE, STATS, REPORT, QUEUES };

struct fixture {
    struct event_loop *loop;
    struct event_source *timer;
    struct guest_memory memory;
    uint8_t *ram;
    struct virtio_device *dev;
    struct fake_queue q[QUEUES];
    unsigned int stats, changes;
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

static void on_stats(void *opaque)
{
    ((struct fixture *)opaque)->stats++;
}

/* Two things may be waited for: the event, or the timer. */
static void on_changed(void *opaque)
{
    struct fixture *f = opaque;

    f->changes++;
    event_loop_quit(f->loop);
}

static int set_up_with(void **state, enum guest_memory_backing backing)
{
    static const struct virtio_balloon_ops ops = {.stats = on_stats, .changed = on_changed};
    struct fixture *f = calloc(1, sizeof(*f));
    int fd = -1;

    *state = f;
    f->loop = event_loop_new(NULL);
    f->timer = event_timer_add(f->loop, on_timer, f->loop);
    if (backing != GUEST_MEMORY_ANONYMOUS) {
        fd = memfd_create("ram", MFD_CLOEXEC);
        assert_int_equal(ftruncate(fd, RAM_BYTES), 0);
        /* What must not come back. */
        for (uint32_t at = 0; at < RAM_BYTES; at += 4096)
            assert_int_equal(pwrite(fd, "old", 3, at), 3);
    }
    /* Aligned to huge pages, as the machine's memory is: mapped over a part of something larger. */
    f->ram = mmap(NULL, 2 * RAM_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    f->ram += -(uintptr_t)f->ram & (2 * MIB - 1);
    f->ram = mmap(f->ram, RAM_BYTES, PROT_READ | PROT_WRITE,
                  (backing == GUEST_MEMORY_SHARED ? MAP_SHARED : MAP_PRIVATE) | MAP_FIXED |
                      (fd < 0 ? MAP_ANONYMOUS : 0),
                  fd, 0);
    assert_ptr_not_equal(f->ram, MAP_FAILED);
    if (fd >= 0)
        close(fd);
    assert_int_equal(guest_memory_add(&f->memory, 0, RAM_BYTES, f->ram, 0), 0);
    f->memory.region[0].backing = backing;
    memset(f->ram, 0xaa, RAM_BYTES);
    f->dev = virtio_balloon_new(f->loop, &ops, f, NULL);
    for (unsigned int i = 0; i < QUEUES; i++)
        fake_queue_init(&f->q[i], &f->dev->queue[i], f->ram, 0x1000 + i * 0x2000, 64);
    f->dev->driver_features = FEATURES;
    return 0;
}

static int set_up(void **state)
{
    return set_up_with(state, GUEST_MEMORY_ANONYMOUS);
}

static int set_up_restored(void **state)
{
    return set_up_with(state, GUEST_MEMORY_PRIVATE_FILE);
}

static int set_up_shared(void **state)
{
    return set_up_with(state, GUEST_MEMORY_SHARED);
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    virtio_balloon_free(f->dev);
    for (unsigned int i = 0; i < QUEUES; i++)
        fake_queue_fini(&f->q[i]);
    event_loop_free(f->loop);
    munmap(f->ram, RAM_BYTES);
    free(f);
    return 0;
}

static void start(struct fixture *f)
{
    assert_int_equal(virtio_device_start(f->dev, &f->memory), 0);
}

/* Pages of the tests' part of memory that are there on the host. */
static unsigned int resident(struct fixture *f)
{
    static unsigned char map[RAM_BYTES / 4096];
    unsigned int count = 0;

    assert_int_equal(mincore(f->ram, RAM_BYTES, map), 0);
    for (unsigned int i = PAGES_GPA / 4096; i < RAM_BYTES / 4096; i++)
        count += map[i] & 1;
    return count;
}

/* Offers a chain of one readable buffer of page numbers. */
static void offer_pages(struct fixture *f, unsigned int queue, const uint32_t *page,
                        unsigned int count)
{
    memcpy(f->ram + DATA_GPA, page, count * sizeof(*page));
    fake_queue_desc(&f->q[queue], 0, DATA_GPA, count * (uint32_t)sizeof(*page), 0, 0);
    fake_queue_offer(&f->q[queue], 0);
    fake_queue_kick(&f->q[queue]);
}

static void assert_done(struct fixture *f, unsigned int queue)
{
    uint32_t id, len;

    assert_true(fake_queue_used(&f->q[queue], &id, &len));
    assert_int_equal(len, 0);
    assert_true(fake_queue_interrupted(&f->q[queue]));
}

static void write_actual(struct fixture *f, uint32_t pages)
{
    f->dev->ops->config_write(f->dev, offsetof(struct virtio_balloon_config, actual), &pages, 4);
}

/* In any order, with neighbours, doubles and numbers that are no memory of the guest's. */
static void inflated_pages_go(void **state)
{
    const uint32_t first = PAGES_GPA / 4096;
    const uint32_t page[] = {first + 9,      first + 4,           first + 1,  first,
                             first + 2,      first + 1,           UINT32_MAX, RAM_BYTES / 4096,
                             UINT32_MAX - 1, RAM_BYTES / 4096 - 1};
    struct fixture *f = *state;
    unsigned int before = resident(f);

    start(f);
    offer_pages(f, INFLATE, page, sizeof(page) / sizeof(page[0]));
    run(f);
    assert_done(f, INFLATE);
    assert_int_equal(before - resident(f), 6);
    assert_int_equal(f->ram[PAGES_GPA], 0);
    assert_int_equal(f->ram[PAGES_GPA + 3 * 4096], 0xaa);
    assert_int_equal(f->ram[PAGES_GPA + 9 * 4096], 0);
    assert_int_equal(f->ram[RAM_BYTES - 4097], 0xaa);
    assert_int_equal(f->ram[RAM_BYTES - 4096], 0);
    /* Taken back, they work again. */
    offer_pages(f, DEFLATE, page, 1);
    run(f);
    assert_done(f, DEFLATE);
    f->ram[PAGES_GPA + 9 * 4096] = 1;
    assert_int_equal(f->ram[PAGES_GPA + 9 * 4096], 1);
}

/* One chain with more than is looked at, and more chains than one kick may cost. */
static void work_is_bounded(void **state)
{
    const uint32_t first = PAGES_GPA / 4096;
    struct fixture *f = *state;
    uint32_t id, len;
    unsigned int done = 0, before = resident(f);

    start(f);
    for (uint32_t i = 0; i < 2048; i++)
        ((uint32_t *)(void *)(f->ram + DATA_GPA))[i] = first + i;
    for (uint16_t i = 0; i < 64; i++) {
        fake_queue_desc(&f->q[INFLATE], i, DATA_GPA, 8192, 0, 0);
        fake_queue_offer(&f->q[INFLATE], i);
    }
    f->dev->ops->kick(f->dev, INFLATE);
    while (fake_queue_used(&f->q[INFLATE], &id, &len))
        done++;
    assert_int_equal(done, 8); /* of 1024 pages each; a little above 8192 ends it */
    /* It kicks itself for the rest. */
    for (unsigned int patience = 0; done < 64 && patience < 10000; patience++) {
        run(f);
        while (fake_queue_used(&f->q[INFLATE], &id, &len))
            done++;
    }
    assert_int_equal(done, 64);
    assert_int_equal(before - resident(f), 1024);
}

static void reported_blocks_go(void **state)
{
    struct fixture *f = *state;
    struct virtio_balloon_info info;
    unsigned int before = resident(f);

    start(f);
    fake_queue_desc(&f->q[REPORT], 0, PAGES_GPA, 4 * MIB, VRING_DESC_F_WRITE | VRING_DESC_F_NEXT,
                    1);
    fake_queue_desc(&f->q[REPORT], 1, PAGES_GPA + 8 * MIB + 100, 8192, VRING_DESC_F_WRITE, 0);
    fake_queue_offer(&f->q[REPORT], 0);
    fake_queue_kick(&f->q[REPORT]);
    run(f);
    assert_done(f, REPORT);
    assert_int_equal(before - resident(f), 1024 + 1); /* of the second, the one whole page */
    assert_int_equal(f->ram[PAGES_GPA], 0);
    assert_int_equal(f->ram[PAGES_GPA + 4 * MIB - 1], 0);
    assert_int_equal(f->ram[PAGES_GPA + 4 * MIB], 0xaa);
    assert_int_equal(f->ram[PAGES_GPA + 8 * MIB + 4095], 0xaa);
    assert_int_equal(f->ram[PAGES_GPA + 8 * MIB + 4096], 0);
    virtio_balloon_get_info(f->dev, &info);
    assert_true(info.can_report);
    assert_int_equal(info.reported_bytes, 4 * MIB + 8192);
}

/* What was in the snapshot's file must not be there again. */
static void a_restored_vms_blocks_become_zero(void **state)
{
    struct fixture *f = *state;

    start(f);
    fake_queue_desc(&f->q[REPORT], 0, PAGES_GPA, 4 * MIB, VRING_DESC_F_WRITE, 0);
    fake_queue_offer(&f->q[REPORT], 0);
    fake_queue_kick(&f->q[REPORT]);
    run(f);
    assert_done(f, REPORT);
    for (uint32_t at = 0; at < 4 * MIB; at += 4096)
        assert_int_equal(f->ram[PAGES_GPA + at], 0);
    assert_int_equal(f->ram[PAGES_GPA + 4 * MIB], 0xaa);
    f->ram[PAGES_GPA] = 1;
    assert_int_equal(f->ram[PAGES_GPA], 1);
}

static void shared_memory_loses_its_pages(void **state)
{
    const uint32_t page = PAGES_GPA / 4096;
    struct fixture *f = *state;

    start(f);
    offer_pages(f, INFLATE, &page, 1);
    run(f);
    assert_done(f, INFLATE);
    assert_int_equal(f->ram[PAGES_GPA], 0);
    assert_int_equal(f->ram[PAGES_GPA + 4096], 0xaa);
}

static void the_target_and_the_size_travel(void **state)
{
    struct fixture *f = *state;
    struct virtio_balloon_info info;
    struct virtio_balloon_config config;
    const uint32_t page = PAGES_GPA / 4096;
    uint16_t part = 7;

    virtio_balloon_set_target(f->dev, 3 * MIB + 4095);
    f->dev->ops->config_read(f->dev, 0, &config, sizeof(config));
    assert_int_equal(config.num_pages, 768);
    assert_int_equal(config.actual, 0);
    virtio_balloon_get_info(f->dev, &info);
    assert_false(info.has_driver);
    /* What is written before a driver begins is no driver's. */
    write_actual(f, 5);
    virtio_balloon_get_info(f->dev, &info);
    assert_int_equal(info.actual_bytes, 0);
    start(f);
    /* Only the size can be written to, and as a whole. */
    f->dev->ops->config_write(f->dev, 0, &page, 4);
    f->dev->ops->config_write(f->dev, 4, &part, 2);
    f->dev->ops->config_read(f->dev, 0, &config, sizeof(config));
    assert_int_equal(config.num_pages, 768);
    assert_int_equal(config.actual, 0);
    /* The size is told by itself, however long after its pages. */
    write_actual(f, 1);
    assert_int_equal(event_loop_run(f->loop, NULL), 0); /* until the change is told */
    assert_int_equal(f->changes, 1);
    virtio_balloon_get_info(f->dev, &info);
    assert_true(info.has_driver);
    assert_int_equal(info.target_bytes, 3 * MIB);
    assert_int_equal(info.actual_bytes, 4096);
    /* A driver that begins anew has everything. */
    virtio_device_stop(f->dev);
    virtio_balloon_get_info(f->dev, &info);
    assert_int_equal(info.actual_bytes, 0);
    assert_int_equal(info.target_bytes, 3 * MIB);
    start(f);
    virtio_balloon_get_info(f->dev, &info);
    assert_int_equal(info.actual_bytes, 0);
}

static void offer_stats(struct fixture *f, const struct virtio_balloon_stat *stats, size_t size)
{
    memcpy(f->ram + DATA_GPA, stats, size);
    fake_queue_desc(&f->q[STATS], 0, DATA_GPA, (uint32_t)size, 0, 0);
    fake_queue_offer(&f->q[STATS], 0);
    fake_queue_kick(&f->q[STATS]);
}

static void statistics_are_asked_for(void **state)
{
    static const struct virtio_balloon_stat first[] = {{VIRTIO_BALLOON_S_MEMFREE, 1000}};
    static const struct virtio_balloon_stat second[] = {
        {VIRTIO_BALLOON_S_MEMTOT, 5000}, {0xffff, 1}, {VIRTIO_BALLOON_S_AVAIL, 3000}};
    struct fixture *f = *state;
    struct virtio_balloon_info info;
    uint32_t id, len;

    start(f);
    assert_false(virtio_balloon_ask_stats(f->dev)); /* there is no buffer to ask with */
    offer_stats(f, first, sizeof(first));
    run(f);
    /* It waits with the device, and holds up neither a pause nor a snapshot. */
    assert_false(fake_queue_used(&f->q[STATS], &id, &len));
    assert_true(virtio_device_is_quiet(f->dev));
    assert_int_equal(f->stats, 0);
    virtio_balloon_get_info(f->dev, &info);
    assert_int_equal(info.stats_known, 1u << VIRTIO_BALLOON_S_MEMFREE);
    assert_int_equal(info.stat[VIRTIO_BALLOON_S_MEMFREE], 1000);

    assert_true(virtio_balloon_ask_stats(f->dev));
    assert_true(virtio_balloon_ask_stats(f->dev)); /* twice is once */
    assert_done(f, STATS);
    assert_false(fake_queue_used(&f->q[STATS], &id, &len));
    offer_stats(f, second, sizeof(second));
    run(f);
    assert_int_equal(f->stats, 1);
    virtio_balloon_get_info(f->dev, &info);
    assert_int_equal(info.stats_known,
                     1u << VIRTIO_BALLOON_S_MEMTOT | 1u << VIRTIO_BALLOON_S_AVAIL);
    assert_int_equal(info.stat[VIRTIO_BALLOON_S_AVAIL], 3000);
    virtio_device_stop(f->dev);
    assert_false(virtio_balloon_ask_stats(f->dev));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(inflated_pages_go, set_up, tear_down),
        cmocka_unit_test_setup_teardown(work_is_bounded, set_up, tear_down),
        cmocka_unit_test_setup_teardown(reported_blocks_go, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_restored_vms_blocks_become_zero, set_up_restored,
                                        tear_down),
        cmocka_unit_test_setup_teardown(shared_memory_loses_its_pages, set_up_shared, tear_down),
        cmocka_unit_test_setup_teardown(the_target_and_the_size_travel, set_up, tear_down),
        cmocka_unit_test_setup_teardown(statistics_are_asked_for, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

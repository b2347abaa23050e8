/* SPDX-License-Identifier: MIT */
/* Tests what a virtio-blk device does beside plain requests: queues, limits, holds, resizing, a
   full host. */
#include "tests/kvm/blk-fixture.h"

#include <sched.h>
#include <sys/mount.h>

#include "kvm/disk/rate-limit.h"

/* Every queue is served, and requests of all of them at once. */
static void test_queues(void **state)
{
    enum { QUEUES = 4, ROUNDS = 50 };
    struct fake_queue queue[QUEUES];
    struct virtio_blk_config config;
    struct fixture f;
    uint64_t features;

    (void)state;
    set_up_in(&f, "/tmp", false, QUEUES);
    assert_true((f.dev->features >> VIRTIO_BLK_F_MQ & 1) != 0);
    f.dev->ops->config_read(f.dev, 0, &config, sizeof(config));
    assert_int_equal(le16toh(config.num_queues), QUEUES);
    features = f.dev->driver_features;
    virtio_device_stop(f.dev);
    for (unsigned int i = 0; i < QUEUES; i++)
        fake_queue_init(&queue[i], &f.dev->queue[i], f.ram, 0x80000 + i * FAKE_QUEUE_BYTES, 16);
    f.dev->driver_features = features;
    assert_int_equal(virtio_device_start(f.dev, &f.memory), 0);
    put_header(&f, VIRTIO_BLK_T_IN, 5);
    for (unsigned int round = 0; round < ROUNDS; round++) {
        unsigned int done[QUEUES] = {0}, total = 0;

        for (unsigned int i = 0; i < QUEUES; i++) {
            for (uint16_t k = 0; k < 5; k++) {
                fake_queue_desc(&queue[i], k * 3, HEADER_GPA, 16, VRING_DESC_F_NEXT, k * 3 + 1);
                fake_queue_desc(&queue[i], k * 3 + 1, DATA_GPA + i * 4096u, DISK_SECTOR,
                                VRING_DESC_F_NEXT | VRING_DESC_F_WRITE, k * 3 + 2);
                fake_queue_desc(&queue[i], k * 3 + 2, STATUS_GPA + i, 1, VRING_DESC_F_WRITE, 0);
                fake_queue_offer(&queue[i], k * 3);
            }
            fake_queue_kick(&queue[i]);
        }
        for (unsigned int patience = 0; total < QUEUES * 5 && patience < 5000; patience++) {
            uint32_t id, length;

            for (unsigned int i = 0; i < QUEUES; i++) {
                while (fake_queue_used(&queue[i], &id, &length)) {
                    assert_int_equal(length, DISK_SECTOR + 1);
                    done[i]++;
                    total++;
                }
            }
            event_timer_set(f.timer, 1);
            assert_int_equal(event_loop_run(f.loop, NULL), 0);
        }
        for (unsigned int i = 0; i < QUEUES; i++) {
            assert_int_equal(done[i], 5);
            assert_int_equal(f.ram[STATUS_GPA + i], VIRTIO_BLK_S_OK);
            assert_int_equal(number_at(&f, DATA_GPA + i * 4096u), 5);
        }
    }
    assert_int_equal(virtio_blk_stats(f.dev).reads, QUEUES * 5 * ROUNDS);
    virtio_device_stop(f.dev);
    for (unsigned int i = 0; i < QUEUES; i++)
        fake_queue_fini(&queue[i]);
    tear_down(&f);
}

/* While the machine stands still nothing is taken; afterwards what waited is. */
static void test_hold(void **state)
{
    struct fixture f;
    uint32_t id, length;

    (void)state;
    set_up(&f, false);
    assert_int_equal(request(&f, VIRTIO_BLK_T_IN, 1, DISK_SECTOR, true, NULL), VIRTIO_BLK_S_OK);
    virtio_device_hold(f.dev, -1);
    put_header(&f, VIRTIO_BLK_T_IN, 3);
    fake_queue_offer(&f.queue, 0);
    fake_queue_kick(&f.queue);
    for (unsigned int i = 0; i < 5; i++) {
        event_timer_set(f.timer, 2);
        assert_int_equal(event_loop_run(f.loop, NULL), 0);
    }
    assert_false(fake_queue_used(&f.queue, &id, &length));
    assert_int_equal(f.ram[STATUS_GPA], UNTOUCHED);
    assert_true(virtio_device_is_quiet(f.dev));
    virtio_device_release(f.dev);
    assert_true(wait_used(&f, &length));
    assert_int_equal(number_at(&f, DATA_GPA), 3);
    tear_down(&f);
}

static void note_change(struct virtio_device *dev)
{
    struct fixture *f = dev->transport;

    f->changes++;
}

static void test_resize(void **state)
{
    struct virtio_blk_config config;
    struct crosh_error err = {0};
    struct fixture f;

    (void)state;
    set_up(&f, false);
    f.dev->transport = &f;
    f.dev->config_changed = note_change;
    assert_int_equal(virtio_blk_resize(f.dev, 0, &err), 0);
    assert_int_equal(f.changes, 0);
    /* The file grew by itself; then it is made to. */
    assert_int_equal(truncate(f.path, (SECTORS + 8) * DISK_SECTOR), 0);
    assert_int_equal(virtio_blk_resize(f.dev, 0, &err), 1);
    f.dev->ops->config_read(f.dev, 0, &config, sizeof(config));
    assert_int_equal(le64toh(config.capacity), SECTORS + 8);
    assert_int_equal(virtio_blk_resize(f.dev, 2 * SECTORS * DISK_SECTOR, &err), 1);
    assert_int_equal(f.changes, 2);
    assert_int_equal(virtio_blk_bytes(f.dev), 2 * SECTORS * DISK_SECTOR);
    assert_int_equal(request(&f, VIRTIO_BLK_T_IN, 2 * SECTORS - 1, DISK_SECTOR, true, NULL),
                     VIRTIO_BLK_S_OK);
    assert_int_equal(virtio_blk_resize(f.dev, SECTORS * DISK_SECTOR, &err), -EINVAL);
    assert_non_null(strstr(err.message, "only grow"));
    assert_int_equal(virtio_blk_resize(f.dev, 2 * SECTORS * DISK_SECTOR + 1, &err), -EINVAL);
    assert_int_equal(f.changes, 2);
    /* A change while no driver is there is told to the next one. */
    virtio_device_stop(f.dev);
    assert_int_equal(virtio_blk_resize(f.dev, 3 * SECTORS * DISK_SECTOR, &err), 1);
    assert_int_equal(f.changes, 2);
    fake_queue_fini(&f.queue);
    fake_queue_init(&f.queue, &f.dev->queue[0], f.ram, QUEUE_GPA, 16);
    f.dev->driver_features = f.dev->features & ~(UINT64_C(1) << VIRTIO_RING_F_EVENT_IDX);
    assert_int_equal(virtio_device_start(f.dev, &f.memory), 0);
    assert_int_equal(f.changes, 3);
    f.dev->config_changed = NULL;
    tear_down(&f);
}

/* On a file system of 2 MiB: a write that finds no room waits for it. */
static void fill_up(const char *dir)
{
    enum { FILLER = 1 << 20 };
    char filler[64];
    struct fixture f;
    uint8_t status;
    int fd;

    set_up_in(&f, dir, false, 1);
    snprintf(filler, sizeof(filler), "%s/filler", dir);
    fd = open(filler, O_CREAT | O_WRONLY, 0600);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, FILLER), 0);
    /* The disk's second half becomes a hole, for which there is soon no room any more. */
    put_range(&f, 0, SECTORS / 2, SECTORS / 2, 0);
    status = request(&f, VIRTIO_BLK_T_DISCARD, 0, 16, false, NULL);
    assert_int_equal(status, VIRTIO_BLK_S_OK);
    while (write(fd, f.ram, 4096) == 4096)
        ;
    assert_int_equal(errno, ENOSPC);
    put_header(&f, VIRTIO_BLK_T_OUT, SECTORS - 8);
    memset(f.ram + DATA_GPA, 0x77, DISK_SECTOR);
    fake_queue_desc(&f.queue, 0, HEADER_GPA, 16, VRING_DESC_F_NEXT, 1);
    fake_queue_desc(&f.queue, 1, DATA_GPA, DISK_SECTOR, VRING_DESC_F_NEXT, 2);
    fake_queue_desc(&f.queue, 2, STATUS_GPA, 1, VRING_DESC_F_WRITE, 0);
    fake_queue_offer(&f.queue, 0);
    fake_queue_kick(&f.queue);
    for (unsigned int patience = 0; !f.is_full && patience < 5000; patience++) {
        event_timer_set(f.timer, 4);
        assert_int_equal(event_loop_run(f.loop, NULL), 0);
    }
    assert_true(f.is_full && virtio_blk_is_full(f.dev));
    assert_int_equal(f.ram[STATUS_GPA], UNTOUCHED);
    virtio_blk_retry(f.dev);
    assert_true(f.is_full);
    assert_true(virtio_device_is_quiet(f.dev));
    /* Room again: the write goes on by itself, and the driver never heard of it. */
    close(fd);
    assert_int_equal(unlink(filler), 0);
    virtio_blk_retry(f.dev);
    assert_false(f.is_full);
    assert_int_equal(f.full_calls, 2);
    assert_true(wait_used(&f, NULL));
    assert_int_equal(f.ram[STATUS_GPA], VIRTIO_BLK_S_OK);
    memset(f.ram + DATA_GPA, 0, DISK_SECTOR);
    assert_int_equal(request(&f, VIRTIO_BLK_T_IN, SECTORS - 8, DISK_SECTOR, true, NULL),
                     VIRTIO_BLK_S_OK);
    assert_int_equal(number_at(&f, DATA_GPA), 0x77777777);
    assert_int_equal(virtio_blk_stats(f.dev).errors, 0);
    tear_down(&f);
}

static void test_host_full(void **state)
{
    char dir[] = "/tmp/crosh-full-XXXXXX";

    (void)state;
    assert_non_null(mkdtemp(dir));
    if (unshare(CLONE_NEWNS | (geteuid() == 0 ? 0 : CLONE_NEWUSER)) < 0 ||
        mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount("none", dir, "tmpfs", 0, "size=2m") < 0) {
        rmdir(dir);
        skip();
    }
    fill_up(dir);
    assert_int_equal(umount(dir), 0);
    rmdir(dir);
}

static void test_rate_limiter(void **state)
{
    const uint64_t second = 1000000000;
    struct rate_limits limits = {.bytes = {.per_second = 1000, .burst = 3000},
                                 .operations = {.per_second = 10}};
    struct rate_limiter limiter = {0};

    (void)state;
    assert_false(rate_limits_any(&(struct rate_limits){.bytes = {.burst = 5}}));
    assert_int_equal(rate_limiter_take(&limiter, UINT64_MAX, 5), 0);
    rate_limiter_set(&limiter, &limits, second);
    /* The burst at once, then at the rate; who comes later waits behind. */
    assert_int_equal(rate_limiter_take(&limiter, 3000, second), 0);
    assert_int_equal(rate_limiter_take(&limiter, 500, second), second / 2);
    assert_int_equal(rate_limiter_take(&limiter, 500, second), second);
    /* What is larger than the burst is possible, too. */
    assert_int_equal(rate_limiter_take(&limiter, 9000, 2 * second), 9 * second);
    /* A long rest fills the bucket, not more than full; the clock may stand still. */
    assert_int_equal(rate_limiter_take(&limiter, 3000, 100 * second), 0);
    assert_int_equal(rate_limiter_take(&limiter, 1000, 99 * second), second);
    /* The operations' bound: a burst of a second's worth. */
    rate_limiter_set(&limiter, &limits, 0);
    for (unsigned int i = 0; i < 10; i++)
        assert_int_equal(rate_limiter_take(&limiter, 0, 0), 0);
    assert_int_equal(rate_limiter_take(&limiter, 0, 0), second / 10);
    assert_int_equal(rate_limiter_take(&limiter, 0, 0), second / 5);
    assert_int_equal(rate_limiter_get(&limiter).bytes.burst, 3000);
}

/* A limited disk holds requests back, and lets them go when the limit is lifted or at a reset. */
static void test_throttled(void **state)
{
    struct rate_limits slow = {.operations = {.per_second = 1, .burst = 1}}, none = {0};
    struct fixture f;
    uint32_t length;

    (void)state;
    set_up(&f, false);
    virtio_blk_set_limits(f.dev, &slow);
    assert_int_equal(virtio_blk_limits(f.dev).operations.per_second, 1);
    assert_int_equal(request(&f, VIRTIO_BLK_T_IN, 1, DISK_SECTOR, true, NULL), VIRTIO_BLK_S_OK);
    /* In debt for most of an hour. */
    slow.bytes = (struct rate){.per_second = 1, .burst = 1};
    virtio_blk_set_limits(f.dev, &slow);
    put_header(&f, VIRTIO_BLK_T_IN, 2);
    fake_queue_desc(&f.queue, 1, DATA_GPA, 8 * DISK_SECTOR, VRING_DESC_F_NEXT | VRING_DESC_F_WRITE,
                    2);
    fake_queue_offer(&f.queue, 0);
    fake_queue_kick(&f.queue);
    for (unsigned int i = 0; i < 5; i++) {
        event_timer_set(f.timer, 2);
        assert_int_equal(event_loop_run(f.loop, NULL), 0);
    }
    assert_int_equal(f.ram[STATUS_GPA], UNTOUCHED);
    virtio_blk_set_limits(f.dev, &none);
    assert_true(wait_used(&f, &length));
    assert_int_equal(length, 8 * DISK_SECTOR + 1);
    assert_true(virtio_blk_stats(f.dev).throttled_ns > 0);
    virtio_blk_set_limits(f.dev, &slow);
    fake_queue_offer(&f.queue, 0);
    fake_queue_kick(&f.queue);
    event_timer_set(f.timer, 2);
    assert_int_equal(event_loop_run(f.loop, NULL), 0);
    virtio_device_stop(f.dev); /* does not wait for the hour */
    tear_down(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_queues),       cmocka_unit_test(test_hold),
        cmocka_unit_test(test_resize),       cmocka_unit_test(test_host_full),
        cmocka_unit_test(test_rate_limiter), cmocka_unit_test(test_throttled),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

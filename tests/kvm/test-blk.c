/* SPDX-License-Identifier: MIT */
/* Tests disk images and virtio-blk with a driver in memory, well- and ill-behaved. */
#include "tests/unit/cmocka-prelude.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kvm/disk/raw.h"
#include "kvm/guest-memory.h"
#include "kvm/virtio/blk.h"
#include "tests/kvm/blk-fixture.h"

static void test_read_write(void **state)
{
    struct fixture f;
    uint32_t length;
    struct stat st;

    (void)state;
    set_up(&f, false);
    assert_int_equal(request(&f, VIRTIO_BLK_T_IN, 7, 2 * DISK_SECTOR, true, &length),
                     VIRTIO_BLK_S_OK);
    assert_int_equal(length, 2 * DISK_SECTOR + 1);
    assert_int_equal(number_at(&f, DATA_GPA), 7);
    assert_int_equal(number_at(&f, DATA_GPA + DISK_SECTOR), 8);

    memset(f.ram + DATA_GPA, 0x5a, DISK_SECTOR);
    assert_int_equal(request(&f, VIRTIO_BLK_T_OUT, 9, DISK_SECTOR, false, &length),
                     VIRTIO_BLK_S_OK);
    assert_int_equal(length, 1);
    assert_int_equal(request(&f, VIRTIO_BLK_T_FLUSH, 0, 0, false, NULL), VIRTIO_BLK_S_OK);
    memset(f.ram + DATA_GPA, 0, DISK_SECTOR);
    assert_int_equal(request(&f, VIRTIO_BLK_T_IN, 9, DISK_SECTOR, true, NULL), VIRTIO_BLK_S_OK);
    assert_int_equal(number_at(&f, DATA_GPA), 0x5a5a5a5a);

    /* The last sector, and nothing behind it. */
    assert_int_equal(request(&f, VIRTIO_BLK_T_IN, SECTORS - 1, DISK_SECTOR, true, NULL),
                     VIRTIO_BLK_S_OK);
    assert_int_equal(number_at(&f, DATA_GPA), SECTORS - 1);
    assert_int_equal(stat(f.path, &st), 0);
    assert_int_equal(st.st_size, SECTORS * DISK_SECTOR + 1);
    tear_down(&f);
}

static void test_bounds(void **state)
{
    static const uint64_t beyond[] = {SECTORS, SECTORS + 1, UINT64_MAX, UINT64_MAX / DISK_SECTOR,
                                      UINT64_C(1) << 55};
    struct fixture f;
    uint32_t length;
    struct stat st;

    (void)state;
    set_up(&f, false);
    for (size_t i = 0; i < sizeof(beyond) / sizeof(beyond[0]); i++) {
        assert_int_equal(request(&f, VIRTIO_BLK_T_IN, beyond[i], DISK_SECTOR, true, &length),
                         VIRTIO_BLK_S_IOERR);
        assert_int_equal(length, 1);
        assert_int_equal(request(&f, VIRTIO_BLK_T_OUT, beyond[i], DISK_SECTOR, false, NULL),
                         VIRTIO_BLK_S_IOERR);
    }
    assert_int_equal(request(&f, VIRTIO_BLK_T_IN, SECTORS - 1, 2 * DISK_SECTOR, true, NULL),
                     VIRTIO_BLK_S_IOERR);
    assert_int_equal(request(&f, VIRTIO_BLK_T_IN, 0, DISK_SECTOR - 1, true, NULL),
                     VIRTIO_BLK_S_IOERR);
    assert_int_equal(request(&f, 0x1234, 0, DISK_SECTOR, true, NULL), VIRTIO_BLK_S_UNSUPP);
    assert_int_equal(stat(f.path, &st), 0);
    assert_int_equal(st.st_size, SECTORS * DISK_SECTOR + 1);

    /* A header cut short; a chain without a byte for the status. */
    put_header(&f, VIRTIO_BLK_T_IN, 0);
    fake_queue_desc(&f.queue, 0, HEADER_GPA, 15, VRING_DESC_F_NEXT, 1);
    fake_queue_desc(&f.queue, 1, STATUS_GPA, 1, VRING_DESC_F_WRITE, 0);
    fake_queue_offer(&f.queue, 0);
    fake_queue_kick(&f.queue);
    assert_true(wait_used(&f, &length));
    assert_int_equal(f.ram[STATUS_GPA], VIRTIO_BLK_S_IOERR);
    fake_queue_desc(&f.queue, 0, HEADER_GPA, 16, 0, 0);
    fake_queue_offer(&f.queue, 0);
    fake_queue_kick(&f.queue);
    assert_true(wait_used(&f, &length));
    assert_int_equal(length, 0);
    /* And it serves on. */
    assert_int_equal(request(&f, VIRTIO_BLK_T_IN, 1, DISK_SECTOR, true, NULL), VIRTIO_BLK_S_OK);
    tear_down(&f);
}

static void test_discard_and_zero(void **state)
{
    struct fixture f;

    (void)state;
    set_up(&f, false);
    put_range(&f, 0, 8, 8, 0);
    put_range(&f, 1, 32, 8, 0);
    assert_int_equal(request(&f, VIRTIO_BLK_T_DISCARD, 0, 32, false, NULL), VIRTIO_BLK_S_OK);
    put_range(&f, 0, 64, 3, VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP);
    assert_int_equal(request(&f, VIRTIO_BLK_T_WRITE_ZEROES, 0, 16, false, NULL), VIRTIO_BLK_S_OK);
    put_range(&f, 0, 70, 1, 0);
    assert_int_equal(request(&f, VIRTIO_BLK_T_WRITE_ZEROES, 0, 16, false, NULL), VIRTIO_BLK_S_OK);
    assert_int_equal(request(&f, VIRTIO_BLK_T_IN, 64, 8 * DISK_SECTOR, true, NULL),
                     VIRTIO_BLK_S_OK);
    for (uint32_t i = 0; i < 8; i++) {
        bool is_zeroed = i < 3 || i == 6;

        assert_int_equal(number_at(&f, DATA_GPA + i * DISK_SECTOR), is_zeroed ? 0 : 64 + i);
    }
    /* Beyond the end, with unknown flags, with half a range or none: refused. */
    put_range(&f, 0, SECTORS - 1, 2, 0);
    assert_int_equal(request(&f, VIRTIO_BLK_T_DISCARD, 0, 16, false, NULL), VIRTIO_BLK_S_IOERR);
    put_range(&f, 0, UINT64_MAX, 1, 0);
    assert_int_equal(request(&f, VIRTIO_BLK_T_WRITE_ZEROES, 0, 16, false, NULL),
                     VIRTIO_BLK_S_IOERR);
    put_range(&f, 0, 0, 1, 2);
    assert_int_equal(request(&f, VIRTIO_BLK_T_WRITE_ZEROES, 0, 16, false, NULL),
                     VIRTIO_BLK_S_UNSUPP);
    assert_int_equal(request(&f, VIRTIO_BLK_T_DISCARD, 0, 17, false, NULL), VIRTIO_BLK_S_IOERR);
    assert_int_equal(request(&f, VIRTIO_BLK_T_DISCARD, 0, 0, false, NULL), VIRTIO_BLK_S_IOERR);
    assert_int_equal(request(&f, VIRTIO_BLK_T_DISCARD, 0, 16 * 17, false, NULL),
                     VIRTIO_BLK_S_IOERR);
    tear_down(&f);
}

static void test_read_only(void **state)
{
    struct fixture f;

    (void)state;
    set_up(&f, true);
    assert_true((f.dev->features >> VIRTIO_BLK_F_RO & 1) != 0);
    assert_int_equal(request(&f, VIRTIO_BLK_T_IN, 3, DISK_SECTOR, true, NULL), VIRTIO_BLK_S_OK);
    assert_int_equal(number_at(&f, DATA_GPA), 3);
    assert_int_equal(request(&f, VIRTIO_BLK_T_OUT, 3, DISK_SECTOR, false, NULL),
                     VIRTIO_BLK_S_IOERR);
    put_range(&f, 0, 0, 1, 0);
    assert_int_equal(request(&f, VIRTIO_BLK_T_DISCARD, 0, 16, false, NULL), VIRTIO_BLK_S_IOERR);
    tear_down(&f);
}

static void test_identity(void **state)
{
    struct virtio_blk_config config;
    struct fixture f;

    (void)state;
    set_up(&f, false);
    assert_int_equal(request(&f, VIRTIO_BLK_T_GET_ID, 0, VIRTIO_BLK_ID_BYTES, true, NULL),
                     VIRTIO_BLK_S_OK);
    assert_memory_equal(f.ram + DATA_GPA, f.path + 5, strlen(f.path + 5));
    f.dev->ops->config_read(f.dev, 0, &config, sizeof(config));
    assert_int_equal(le64toh(config.capacity), SECTORS);
    f.dev->ops->config_read(f.dev, UINT32_MAX, &config, sizeof(config));
    assert_int_equal(config.capacity, 0);
    tear_down(&f);
}

/* Requests in flight at a reset are forgotten, and the device can be started anew. */
static void test_stop_in_flight(void **state)
{
    struct fixture f;

    (void)state;
    set_up(&f, false);
    for (unsigned int round = 0; round < 20; round++) {
        uint64_t features = f.dev->driver_features;

        put_header(&f, VIRTIO_BLK_T_IN, round);
        for (uint16_t i = 0; i < 5; i++) {
            fake_queue_desc(&f.queue, i * 3, HEADER_GPA, 16, VRING_DESC_F_NEXT, i * 3 + 1);
            fake_queue_desc(&f.queue, i * 3 + 1, DATA_GPA, 64 * DISK_SECTOR,
                            VRING_DESC_F_NEXT | VRING_DESC_F_WRITE, i * 3 + 2);
            fake_queue_desc(&f.queue, i * 3 + 2, STATUS_GPA, 1, VRING_DESC_F_WRITE, 0);
            fake_queue_offer(&f.queue, i * 3);
        }
        f.dev->ops->kick(f.dev, 0);
        virtio_device_stop(f.dev);
        fake_queue_fini(&f.queue);
        fake_queue_init(&f.queue, &f.dev->queue[0], f.ram, QUEUE_GPA, 16);
        f.dev->driver_features = features;
        assert_int_equal(virtio_device_start(f.dev, &f.memory), 0);
        assert_int_equal(request(&f, VIRTIO_BLK_T_IN, round, DISK_SECTOR, true, NULL),
                         VIRTIO_BLK_S_OK);
        assert_int_equal(number_at(&f, DATA_GPA), round);
    }
    tear_down(&f);
}

/* One request may be as large as the guest likes: it goes in parts, and can be ended between. */
static void test_large_and_cancelled(void **state)
{
    enum { LARGE = 20 << 20, HALF = LARGE / 2 + DISK_SECTOR };
    struct raw_disk disk = {.fd = -1};
    char path[] = "/tmp/crosh-disk-XXXXXX";
    int fd = mkstemp(path);
    uint8_t *out = malloc(LARGE), *in = calloc(1, LARGE);
    struct iovec iov[2];
    struct disk_io io;

    (void)state;
    assert_true(fd >= 0 && out != NULL && in != NULL);
    assert_int_equal(ftruncate(fd, LARGE), 0);
    close(fd);
    for (size_t i = 0; i < LARGE; i++)
        out[i] = (uint8_t)(i ^ i >> 12);
    assert_int_equal(raw_disk_open(&disk, path, false, NULL), 0);
    iov[0] = (struct iovec){.iov_base = out, .iov_len = LARGE};
    io = (struct disk_io){.iov = iov, .count = 1};
    assert_int_equal(raw_disk_write(&disk, &io), 0);
    iov[0] = (struct iovec){.iov_base = in, .iov_len = HALF};
    iov[1] = (struct iovec){.iov_base = in + HALF, .iov_len = LARGE - HALF};
    io = (struct disk_io){.iov = iov, .count = 2};
    assert_int_equal(raw_disk_read(&disk, &io), 0);
    assert_memory_equal(in, out, LARGE);

    atomic_store(&disk.is_cancelled, true);
    iov[0] = (struct iovec){.iov_base = in, .iov_len = DISK_SECTOR};
    io = (struct disk_io){.iov = iov, .count = 1};
    assert_int_equal(raw_disk_read(&disk, &io), -ECANCELED);
    raw_disk_close(&disk);
    unlink(path);
    free(out);
    free(in);
}

static void test_lock(void **state)
{
    struct raw_disk second;
    struct crosh_error err = {0};
    struct fixture f;

    (void)state;
    set_up(&f, false);
    assert_int_equal(raw_disk_open(&second, f.path, false, &err), -EBUSY);
    assert_non_null(strstr(err.message, "in use"));
    assert_int_equal(raw_disk_open(&second, f.path, true, &err), -EBUSY);
    tear_down(&f);

    set_up(&f, true);
    assert_int_equal(raw_disk_open(&second, f.path, false, &err), -EBUSY);
    assert_int_equal(raw_disk_open(&second, f.path, true, &err), 0);
    raw_disk_close(&second);
    tear_down(&f);
}

static void test_no_disk(void **state)
{
    struct raw_disk disk;
    struct crosh_error err = {0};

    (void)state;
    assert_int_equal(raw_disk_open(&disk, "/tmp/crosh-no-such-disk", false, &err), -ENOENT);
    assert_int_equal(raw_disk_open(&disk, "/tmp", true, &err), -EINVAL);
    assert_int_equal(raw_disk_open(&disk, "/dev/null", false, &err), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_read_write),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_discard_and_zero),
        cmocka_unit_test(test_read_only),
        cmocka_unit_test(test_identity),
        cmocka_unit_test(test_stop_in_flight),
        cmocka_unit_test(test_large_and_cancelled),
        cmocka_unit_test(test_lock),
        cmocka_unit_test(test_no_disk),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/* A virtio-blk device on a small file, and its driver in memory of the test. */
#ifndef TESTS_KVM_BLK_FIXTURE_H
#define TESTS_KVM_BLK_FIXTURE_H

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
#include "tests/unit/fake-queue.h"

enum {
    RAM_SIZE = 1 << 20,
    QUEUE_GPA = 0x1000,
    HEADER_GPA = 0x10000,
    STATUS_GPA = 0x11000,
    DATA_GPA = 0x20000,
    SECTORS = 2048,
    UNTOUCHED = 0xee,
};

struct fixture {
    char path[64];
    unsigned int full_calls;
    bool is_full;
    unsigned int changes; /* of the configuration */
    struct event_loop *loop;
    struct event_source *timer;
    struct virtio_device *dev;
    struct guest_memory memory;
    uint8_t *ram;
    struct fake_queue queue;
};

static inline void stop_loop(void *opaque)
{
    event_loop_quit(opaque);
}

static inline void count_full(void *opaque, bool is_full)
{
    struct fixture *f = opaque;

    f->full_calls++;
    f->is_full = is_full;
}

/* In a directory of the caller's choice. */
static inline void set_up_in(struct fixture *f, const char *dir, bool read_only,
                             unsigned int queues)
{
    struct virtio_blk_setup setup = {
        .fd = -1, .read_only = read_only, .queues = queues, .full = count_full, .opaque = f};
    struct crosh_error err = {0};
    int fd;

    memset(f, 0, sizeof(*f));
    snprintf(f->path, sizeof(f->path), "%s/crosh-disk-XXXXXX", dir);
    fd = mkstemp(f->path);
    assert_true(fd >= 0);
    /* Each sector begins with its own number; one odd byte at the end is no sector. */
    assert_int_equal(ftruncate(fd, SECTORS * DISK_SECTOR + 1), 0);
    for (uint32_t sector = 0; sector < SECTORS; sector++)
        assert_int_equal(pwrite(fd, &sector, sizeof(sector), sector * DISK_SECTOR), 4);
    close(fd);
    f->ram = test_calloc(1, RAM_SIZE);
    assert_int_equal(guest_memory_add(&f->memory, 0, RAM_SIZE, f->ram, 0), 0);
    f->loop = event_loop_new(&err);
    assert_non_null(f->loop);
    f->timer = event_timer_add(f->loop, stop_loop, f->loop);
    assert_non_null(f->timer);
    setup.path = f->path;
    f->dev = virtio_blk_new(f->loop, &setup, &err);
    if (f->dev == NULL)
        fail_msg("%s", err.message);
    fake_queue_init(&f->queue, &f->dev->queue[0], f->ram, QUEUE_GPA, 16);
    f->dev->driver_features = f->dev->features & ~(UINT64_C(1) << VIRTIO_RING_F_EVENT_IDX);
    assert_int_equal(virtio_device_start(f->dev, &f->memory), 0);
}

static inline void set_up(struct fixture *f, bool read_only)
{
    set_up_in(f, "/tmp", read_only, 1);
}

static inline void tear_down(struct fixture *f)
{
    virtio_blk_free(f->dev);
    fake_queue_fini(&f->queue);
    event_loop_free(f->loop);
    unlink(f->path);
    test_free(f->ram);
}

/* Runs the loop until a chain comes back; false when none does. */
static inline bool wait_used(struct fixture *f, uint32_t *length)
{
    for (unsigned int patience = 0; patience < 5000; patience++) {
        uint32_t id, ignored;

        if (fake_queue_used(&f->queue, &id, length != NULL ? length : &ignored))
            return true;
        event_timer_set(f->timer, 4);
        assert_int_equal(event_loop_run(f->loop, NULL), 0);
    }
    return false;
}

static inline void put_header(struct fixture *f, uint32_t type, uint64_t sector)
{
    struct virtio_blk_outhdr header = {.type = htole32(type), .sector = htole64(sector)};

    memcpy(f->ram + HEADER_GPA, &header, sizeof(header));
    f->ram[STATUS_GPA] = UNTOUCHED;
}

/* One request with one data segment; the status byte that came back. */
static inline uint8_t request(struct fixture *f, uint32_t type, uint64_t sector, uint32_t size,
                              bool is_device_writing, uint32_t *length)
{
    uint16_t flags = VRING_DESC_F_NEXT | (is_device_writing ? VRING_DESC_F_WRITE : 0);
    uint32_t used = 0;

    put_header(f, type, sector);
    fake_queue_desc(&f->queue, 0, HEADER_GPA, sizeof(struct virtio_blk_outhdr), VRING_DESC_F_NEXT,
                    size > 0 ? 1 : 2);
    fake_queue_desc(&f->queue, 1, DATA_GPA, size, flags, 2);
    fake_queue_desc(&f->queue, 2, STATUS_GPA, 1, VRING_DESC_F_WRITE, 0);
    fake_queue_offer(&f->queue, 0);
    fake_queue_kick(&f->queue);
    assert_true(wait_used(f, &used));
    if (length != NULL)
        *length = used;
    return f->ram[STATUS_GPA];
}

static inline uint32_t number_at(const struct fixture *f, size_t gpa)
{
    uint32_t value;

    memcpy(&value, f->ram + gpa, sizeof(value));
    return value;
}

static inline void put_range(struct fixture *f, unsigned int index, uint64_t sector, uint32_t count,
                             uint32_t flags)
{
    struct virtio_blk_discard_write_zeroes range = {
        .sector = htole64(sector), .num_sectors = htole32(count), .flags = htole32(flags)};

    memcpy(f->ram + DATA_GPA + index * sizeof(range), &range, sizeof(range));
}

#endif

/* SPDX-License-Identifier: MIT */
/* Measures virtio-blk without a guest: a driver in memory keeps requests in flight on a file. */
#include <endian.h>
#include <linux/virtio_blk.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "kvm/guest-memory.h"
#include "kvm/virtio/blk.h"
#include "tests/unit/fake-queue.h"

enum {
    RAM_BYTES = 256 << 20,
    QUEUE_SIZE = 128,
    HEADERS_GPA = 0x10000,
    STATUS_GPA = 0x20000,
    DATA_GPA = 0x100000,
    DEPTH_MAX = QUEUE_SIZE / 3,
};

struct load {
    struct fake_queue queue;
    struct virtio_device *dev;
    uint8_t *ram;
    bool is_write, is_random;
    uint32_t bytes; /* of a request */
    uint64_t sectors, next;
    uint64_t issued, done, errors;
};

static double seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void issue(struct load *l, uint16_t slot)
{
    struct virtio_blk_outhdr header = {
        .type = htole32(l->is_write ? VIRTIO_BLK_T_OUT : VIRTIO_BLK_T_IN)};
    uint64_t units = l->sectors * 512 / l->bytes;
    uint64_t unit = (l->is_random ? (uint64_t)random() : l->next++) % units;
    uint64_t header_gpa = HEADERS_GPA + slot * 16u;
    uint16_t head = (uint16_t)(slot * 3);

    header.sector = htole64(unit * (l->bytes / 512));
    memcpy(l->ram + header_gpa, &header, sizeof(header));
    fake_queue_desc(&l->queue, head, header_gpa, 16, VRING_DESC_F_NEXT, head + 1);
    fake_queue_desc(&l->queue, head + 1u, DATA_GPA + (uint64_t)slot * l->bytes, l->bytes,
                    VRING_DESC_F_NEXT | (l->is_write ? 0 : VRING_DESC_F_WRITE), head + 2);
    fake_queue_desc(&l->queue, head + 2u, STATUS_GPA + slot, 1, VRING_DESC_F_WRITE, 0);
    fake_queue_offer(&l->queue, head);
    l->issued++;
}

static void drive(struct load *l, unsigned int depth, double end)
{
    uint32_t id, length;

    for (unsigned int i = 0; i < depth; i++)
        issue(l, (uint16_t)i);
    fake_queue_kick(&l->queue);
    while (l->done < l->issued) {
        bool is_over = seconds() >= end;
        bool has_any = false;

        while (fake_queue_used(&l->queue, &id, &length)) {
            l->errors += l->ram[STATUS_GPA + id / 3] != 0;
            l->done++;
            has_any = true;
            if (!is_over)
                issue(l, (uint16_t)(id / 3));
        }
        if (has_any) {
            fake_queue_kick(&l->queue);
            continue;
        }
        /* As Linux does: asks for an interrupt at the next one, and looks again. */
        fake_queue_set_used_event(&l->queue, l->queue.used_idx);
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
        if (__atomic_load_n((uint16_t *)(void *)(l->queue.used + 2), __ATOMIC_ACQUIRE) !=
            l->queue.used_idx)
            continue;
        if (!fake_queue_interrupted(&l->queue)) {
            struct pollfd pfd = {.fd = l->queue.call_fd, .events = POLLIN};

            (void)poll(&pfd, 1, 1000);
        }
    }
}

static void *loop_thread(void *opaque)
{
    (void)event_loop_run(opaque, NULL);
    return NULL;
}

int main(int argc, char **argv)
{
    struct virtio_blk_setup setup = {.fd = -1, .queues = 1};
    struct load l = {0};
    struct guest_memory memory = {.count = 0};
    struct crosh_error err = {0};
    struct event_loop *loop = event_loop_new(&err);
    struct rusage usage;
    unsigned int depth;
    pthread_t thread;
    double start, time;

    if (argc != 6) {
        fprintf(stderr, "usage: blk-load FILE read|write|randread|randwrite BYTES DEPTH SECONDS\n");
        return 2;
    }
    l.is_random = strncmp(argv[2], "rand", 4) == 0;
    l.is_write = strstr(argv[2], "write") != NULL;
    l.bytes = (uint32_t)strtoul(argv[3], NULL, 10);
    depth = (unsigned int)strtoul(argv[4], NULL, 10);
    if (depth > DEPTH_MAX || l.bytes < 512 || (uint64_t)l.bytes * depth > RAM_BYTES - DATA_GPA)
        return 2;
    l.ram = aligned_alloc(4096, RAM_BYTES);
    memset(l.ram, 1, RAM_BYTES);
    (void)guest_memory_add(&memory, 0, RAM_BYTES, l.ram, 0);
    setup.path = argv[1];
    setup.read_only = !l.is_write;
    l.dev = virtio_blk_new(loop, &setup, &err);
    if (l.dev == NULL) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    {
        struct virtio_blk_config config;

        l.dev->ops->config_read(l.dev, 0, &config, sizeof(config));
        l.sectors = le64toh(config.capacity);
    }
    fake_queue_init(&l.queue, &l.dev->queue[0], l.ram, 0x1000, QUEUE_SIZE);
    l.dev->driver_features = l.dev->features;
    if (virtio_device_start(l.dev, &memory) < 0)
        return 1;
    (void)pthread_create(&thread, NULL, loop_thread, loop);
    start = seconds();
    drive(&l, depth, start + strtod(argv[5], NULL));
    time = seconds() - start;
    getrusage(RUSAGE_SELF, &usage);
    printf("%.0f requests/s %.1f MB/s cpu %.2f errors %llu\n", (double)l.done / time,
           (double)l.done * l.bytes / time / 1e6,
           ((double)usage.ru_utime.tv_sec + (double)usage.ru_utime.tv_usec / 1e6 +
            (double)usage.ru_stime.tv_sec + (double)usage.ru_stime.tv_usec / 1e6) /
               time,
           (unsigned long long)l.errors);
    event_loop_quit(loop);
    (void)pthread_join(thread, NULL);
    virtio_blk_free(l.dev);
    event_loop_free(loop);
    return 0;
}

/* SPDX-License-Identifier: MIT */
/*
 * disk-load: reads and writes a block device, past the page cache, in several patterns;
 * prints "RESULT pattern operations microseconds" for each. Runs inside of a guest.
 */
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/fs.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { DEPTH_MAX = 32, BYTES_MAX = 128 << 10, WARM_SHARE = 8 };

static const struct pattern {
    const char *name;
    unsigned int bytes;
    unsigned int operations; /* and an eighth of it before, which is not measured */
    unsigned int depth;      /* requests in flight */
    int is_write, is_random, is_flushed;
} patterns[] = {
    {"seq-read-128k-d1", 128 << 10, 400, 1, 0, 0, 0},
    {"seq-read-128k-d32", 128 << 10, 800, 32, 0, 0, 0},
    {"seq-write-128k-d1", 128 << 10, 400, 1, 1, 0, 0},
    {"seq-write-128k-d32", 128 << 10, 800, 32, 1, 0, 0},
    {"rand-read-4k-d1", 4096, 1000, 1, 0, 1, 0},
    {"rand-read-4k-d32", 4096, 2400, 32, 0, 1, 0},
    {"rand-write-4k-d1", 4096, 1000, 1, 1, 1, 0},
    {"rand-write-4k-d32", 4096, 2400, 32, 1, 1, 0},
    {"flush", 4096, 300, 1, 1, 1, 1},
};

struct load {
    const struct pattern *pattern;
    int fd;
    aio_context_t aio;
    uint64_t blocks, block; /* of the pattern's size */
    uint8_t *buffer;        /* DEPTH_MAX of BYTES_MAX */
    struct iocb request[DEPTH_MAX];
};

static uint64_t now_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* Makes the next request, in a slot that is free. */
static struct iocb *make(struct load *l, unsigned int slot)
{
    const struct pattern *p = l->pattern;
    struct iocb *request = &l->request[slot];

    l->block = p->is_random ? (uint64_t)random() % l->blocks : (l->block + 1) % l->blocks;
    memset(request, 0, sizeof(*request));
    request->aio_data = slot;
    request->aio_lio_opcode = p->is_write ? IOCB_CMD_PWRITE : IOCB_CMD_PREAD;
    request->aio_fildes = (uint32_t)l->fd;
    request->aio_buf = (uint64_t)(uintptr_t)(l->buffer + (size_t)slot * BYTES_MAX);
    request->aio_nbytes = p->bytes;
    request->aio_offset = (int64_t)(l->block * p->bytes);
    return request;
}

/* As many requests, each slot's next one as soon as it is done. */
static int run(struct load *l, unsigned int operations)
{
    struct iocb *next[DEPTH_MAX];
    struct io_event done[DEPTH_MAX];
    unsigned int begun = 0, ended = 0, ready = 0;

    while (ready < l->pattern->depth && begun < operations)
        next[ready++] = make(l, begun++);
    while (ended < operations) {
        long n;

        if (ready > 0 && syscall(SYS_io_submit, l->aio, (long)ready, next) != (long)ready)
            return -1;
        n = syscall(SYS_io_getevents, l->aio, 1L, (long)DEPTH_MAX, done, NULL);
        if (n < 1)
            return -1;
        ready = 0;
        for (long i = 0; i < n; i++) {
            if (done[i].res != (int64_t)l->pattern->bytes ||
                (l->pattern->is_flushed && fdatasync(l->fd) < 0))
                return -1;
            if (begun < operations) {
                next[ready++] = make(l, (unsigned int)done[i].data);
                begun++;
            }
        }
        ended += (unsigned int)n;
    }
    return 0;
}

int main(int argc, char **argv)
{
    struct load l = {.fd = argc == 2 ? open(argv[1], O_RDWR | O_DIRECT) : -1};
    uint64_t size;

    if (l.fd < 0 || ioctl(l.fd, BLKGETSIZE64, &size) < 0 ||
        syscall(SYS_io_setup, DEPTH_MAX, &l.aio) < 0)
        return 1;
    l.buffer = aligned_alloc(4096, (size_t)DEPTH_MAX * BYTES_MAX);
    if (l.buffer == NULL)
        return 1;
    memset(l.buffer, 'x', (size_t)DEPTH_MAX * BYTES_MAX);
    for (size_t i = 0; i < sizeof(patterns) / sizeof(patterns[0]); i++) {
        const struct pattern *p = &patterns[i];
        uint64_t start;

        l.pattern = p;
        l.blocks = size / p->bytes;
        l.block = 0;
        srandom(1);
        if (run(&l, p->operations / WARM_SHARE) < 0)
            return 1;
        start = now_us();
        if (run(&l, p->operations) < 0)
            return 1;
        printf("RESULT %s %u %llu\n", p->name, p->operations,
               (unsigned long long)(now_us() - start));
        fflush(stdout);
    }
    return 0;
}

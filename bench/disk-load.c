/* SPDX-License-Identifier: MIT */
/*
 * disk-load: reads and writes a block device, past the page cache, in several patterns;
 * prints "RESULT pattern operations microseconds" for each. Runs inside of a guest.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <linux/fs.h>

static const struct pattern {
    const char *name;
    size_t bytes;
    unsigned int operations; /* of each process */
    unsigned int processes;  /* so many requests in flight */
    int is_write, is_random, is_synced;
} patterns[] = {
    {"seq-read-128k", 128 << 10, 400, 1, 0, 0, 0}, {"seq-write-128k", 128 << 10, 400, 1, 1, 0, 0},
    {"rand-read-4k", 4096, 1500, 1, 0, 1, 0},      {"rand-read-4k-x8", 4096, 400, 8, 0, 1, 0},
    {"rand-write-4k", 4096, 1500, 1, 1, 1, 0},     {"rand-write-4k-x8", 4096, 400, 8, 1, 1, 0},
    {"write-4k-sync", 4096, 200, 1, 1, 1, 1},
};

static uint64_t now_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static int run(const char *path, const struct pattern *p, unsigned int seed)
{
    int fd = open(path, O_RDWR | O_DIRECT);
    void *buffer = NULL;
    uint64_t size, blocks, block = 0;

    if (fd < 0 || ioctl(fd, BLKGETSIZE64, &size) < 0 ||
        posix_memalign(&buffer, 4096, p->bytes) != 0)
        return 1;
    memset(buffer, 'x', p->bytes);
    blocks = size / p->bytes;
    srandom(seed);
    for (unsigned int i = 0; i < p->operations; i++) {
        off_t offset;
        ssize_t n;

        block = p->is_random ? (uint64_t)random() % blocks : (block + 1) % blocks;
        offset = (off_t)(block * p->bytes);
        n = p->is_write ? pwrite(fd, buffer, p->bytes, offset)
                        : pread(fd, buffer, p->bytes, offset);
        if (n != (ssize_t)p->bytes || (p->is_synced && fdatasync(fd) < 0))
            return 1;
    }
    free(buffer);
    return close(fd);
}

int main(int argc, char **argv)
{
    if (argc != 2)
        return 2;
    for (size_t i = 0; i < sizeof(patterns) / sizeof(patterns[0]); i++) {
        const struct pattern *p = &patterns[i];
        uint64_t start = now_us();
        int status, failed = 0;

        for (unsigned int k = 0; k < p->processes; k++)
            if (fork() == 0)
                _exit(run(argv[1], p, k + 1));
        while (wait(&status) > 0)
            failed |= status;
        if (failed != 0)
            printf("FAILED %s\n", p->name);
        else
            printf("RESULT %s %u %llu\n", p->name, p->operations * p->processes,
                   (unsigned long long)(now_us() - start));
    }
    return 0;
}

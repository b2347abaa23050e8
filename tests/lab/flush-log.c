/* SPDX-License-Identifier: MIT */
/*
 * For tests: keeps files of records, tells of each one once it is durable, and finds out later
 * whether all that it told is there.
 *
 *     flush-log write DIR        appends to two files in DIR at once, beside writes that nobody
 *                                flushes; prints "WRITER NUMBER" when that record is durable
 *     flush-log check FILE WRITER LAST    0: the writer's records up to LAST are there and whole
 *     flush-log power-failure DIR         the file system of DIR loses what is not on its device
 */
#include <fcntl.h>
#include <linux/types.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { WRITERS = 2, NOISE_BYTES = 16 << 10, NOISE_COUNT = 128, NOISE_PAUSE_US = 20000 };

/* XFS's request, which ext4 knows, too, and no header of the kernel's for programs has: the file
   system ends at once, and not even its journal is written. */
#define GOING_DOWN         _IOR('X', 125, __u32)
#define GOING_DOWN_AT_ONCE 2

/* It says what it is, so that an old, a torn and a misplaced one are all told from it. */
struct record {
    uint64_t writer, number;
    uint64_t word[14];
};

static void fill(struct record *record, uint64_t writer, uint64_t number)
{
    uint64_t state = (writer + 1) * UINT64_C(0x9e3779b97f4a7c15) + number;

    record->writer = writer;
    record->number = number;
    for (size_t i = 0; i < sizeof(record->word) / sizeof(record->word[0]); i++) {
        state ^= state << 13, state ^= state >> 7, state ^= state << 17;
        record->word[i] = state;
    }
}

/* How many records from the file's start on are what they should be. */
static uint64_t count_whole(int fd, uint64_t writer)
{
    struct record found, wanted;
    uint64_t number = 0;

    do {
        number++;
        fill(&wanted, writer, number);
    } while (pread(fd, &found, sizeof(found), (off_t)((number - 1) * sizeof(found))) ==
                 (ssize_t)sizeof(found) &&
             memcmp(&found, &wanted, sizeof(found)) == 0);
    return number - 1;
}

static int open_log(const char *dir, const char *name, int flags)
{
    char path[256];

    (void)snprintf(path, sizeof(path), "%s/%s", dir, name);
    return open(path, flags, 0600);
}

/* One record after the other; returns only when something fails. */
static void write_records(const char *dir, unsigned int writer)
{
    char name[16], line[64];
    struct record record;
    uint64_t number;
    int fd;

    (void)snprintf(name, sizeof(name), "log%u", writer);
    fd = open_log(dir, name, O_RDWR | O_CREAT);
    if (fd < 0)
        return;
    /* What was not told of may be damaged, and is written anew. */
    number = count_whole(fd, writer);
    if (ftruncate(fd, (off_t)(number * sizeof(record))) < 0)
        return;
    for (;;) {
        int length;

        fill(&record, writer, ++number);
        if (pwrite(fd, &record, sizeof(record), (off_t)((number - 1) * sizeof(record))) !=
                (ssize_t)sizeof(record) ||
            fdatasync(fd) < 0)
            return;
        length = snprintf(line, sizeof(line), "%u %llu\n", writer, (unsigned long long)number);
        if (write(STDOUT_FILENO, line, (size_t)length) != length)
            return;
    }
}

static void make_noise(const char *dir)
{
    static uint8_t noise[NOISE_BYTES];

    for (unsigned int round = 0;; round++) {
        int fd = open_log(dir, "noise", O_WRONLY | O_CREAT | O_TRUNC);

        if (fd < 0)
            return;
        memset(noise, (int)round, sizeof(noise));
        for (unsigned int i = 0; i < NOISE_COUNT; i++) {
            if (write(fd, noise, sizeof(noise)) < 0)
                return;
            (void)usleep(NOISE_PAUSE_US); /* the flushes are what counts */
        }
        (void)close(fd);
    }
}

int main(int argc, char **argv)
{
    if (argc == 5 && strcmp(argv[1], "check") == 0) {
        uint64_t last = strtoull(argv[4], NULL, 10), whole;
        int fd = open(argv[2], O_RDONLY);

        whole = fd < 0 ? 0 : count_whole(fd, strtoull(argv[3], NULL, 10));
        if (whole >= last)
            return 0;
        printf("record %llu is missing or damaged\n", (unsigned long long)whole + 1);
        return 1;
    }
    if (argc == 3 && strcmp(argv[1], "power-failure") == 0) {
        __u32 how = GOING_DOWN_AT_ONCE;
        int fd = open(argv[2], O_RDONLY);

        if (fd >= 0 && ioctl(fd, GOING_DOWN, &how) == 0)
            return 0;
        perror(argv[2]);
        return 1;
    }
    if (argc != 3 || strcmp(argv[1], "write") != 0)
        return 2;
    for (unsigned int writer = 0; writer <= WRITERS; writer++) {
        if (fork() == 0) {
            if (writer < WRITERS)
                write_records(argv[2], writer);
            else
                make_noise(argv[2]);
            _exit(1);
        }
    }
    (void)wait(NULL);
    return 1;
}

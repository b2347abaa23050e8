/* SPDX-License-Identifier: MIT */
/* Implements figures of a process (proc(5)). */
#include "kvm/process-times.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int open_file(const char *dir, const char *name)
{
    char path[80];

    (void)snprintf(path, sizeof(path), "%s/%s", dir, name);
    return open(path, O_RDONLY | O_CLOEXEC);
}

void process_times_open(struct process_times *times, const char *dir)
{
    times->stat_fd = open_file(dir, "stat");
    times->statm_fd = open_file(dir, "statm");
}

void process_times_close(struct process_times *times)
{
    if (times->stat_fd >= 0)
        (void)close(times->stat_fd);
    if (times->statm_fd >= 0)
        (void)close(times->statm_fd);
    *times = PROCESS_TIMES_NONE;
}

static int read_text(int fd, char *text, size_t size)
{
    ssize_t n = fd >= 0 ? pread(fd, text, size - 1, 0) : -1;

    if (n < 0)
        return fd >= 0 ? -errno : -EBADF;
    text[n] = '\0';
    return 0;
}

int process_times_read(const struct process_times *times, struct process_figures *figures)
{
    const uint64_t tick_us = 1000000 / (uint64_t)sysconf(_SC_CLK_TCK);
    char text[1024];
    const char *rest;
    int code = read_text(times->stat_fd, text, sizeof(text));

    if (code < 0)
        return code;
    /* Behind the name, which may hold anything: fields 3 on, of which 14, 15 and 43 count. */
    rest = strrchr(text, ')');
    if (rest == NULL ||
        sscanf(rest + 1,
               " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %" SCNu64 " %" SCNu64
               " %*d %*d %*d %*d %*d %*d %*u %*u %*d %*u %*u %*u %*u %*u %*u %*u %*u %*u %*u %*u"
               " %*u %*u %*d %*d %*u %*u %*u %" SCNu64,
               &figures->user_us, &figures->system_us, &figures->guest_us) != 3)
        return -EBADMSG;
    figures->user_us *= tick_us;
    figures->system_us *= tick_us;
    figures->guest_us *= tick_us;
    code = read_text(times->statm_fd, text, sizeof(text));
    if (code < 0)
        return code;
    if (sscanf(text, "%*u %" SCNu64, &figures->resident_bytes) != 1)
        return -EBADMSG;
    figures->resident_bytes *= (uint64_t)sysconf(_SC_PAGESIZE);
    return 0;
}

/* SPDX-License-Identifier: MIT */
/* Waiting that ends: times on the monotonic clock, in milliseconds. */
#ifndef CROSH_BASE_DEADLINE_H
#define CROSH_BASE_DEADLINE_H

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdint.h>
#include <time.h>

/* A deadline that never comes. */
#define DEADLINE_NEVER INT64_MAX

static inline int64_t deadline_now(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* The deadline that many milliseconds from now; below 0: never. */
static inline int64_t deadline_in(int64_t timeout_ms)
{
    return timeout_ms < 0 ? DEADLINE_NEVER : deadline_now() + timeout_ms;
}

/* Waits for events on fd, as poll(2) has them. 0, -ETIMEDOUT, or another negative errno. */
static inline int deadline_poll(int fd, short events, int64_t deadline)
{
    for (;;) {
        struct pollfd pfd = {.fd = fd, .events = events};
        int64_t left = deadline - deadline_now();
        int timeout = deadline == DEADLINE_NEVER ? -1
                      : left < 0                 ? 0
                      : left > INT_MAX           ? INT_MAX
                                                 : (int)left;
        int n = poll(&pfd, 1, timeout);

        if (n > 0)
            return 0;
        if (n == 0 && left <= INT_MAX)
            return -ETIMEDOUT;
        if (n < 0 && errno != EINTR)
            return -errno;
    }
}

#endif

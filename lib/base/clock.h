/* SPDX-License-Identifier: MIT */
/* The time in microseconds. */
#ifndef CROSH_BASE_CLOCK_H
#define CROSH_BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

/* What the clock, such as CLOCK_MONOTONIC, which every system has, says now. */
static inline int64_t clock_us(clockid_t clock)
{
    struct timespec now;

    (void)clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

#endif

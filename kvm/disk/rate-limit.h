/* SPDX-License-Identifier: MIT */
/* Token buckets that bound a disk's bytes and operations a second. */
#ifndef KVM_DISK_RATE_LIMIT_H
#define KVM_DISK_RATE_LIMIT_H

#include <stdbool.h>
#include <stdint.h>

/* A bound of one quantity; all zero: none. */
struct rate {
    uint64_t per_second;
    uint64_t burst; /* what may come at once after a rest; 0: a second's worth */
};

/* Most that a rate or a burst may be: sums and products with it stay far from 64 bits' end. */
#define RATE_MAX (UINT64_C(1) << 50)

struct rate_limits {
    struct rate bytes, operations;
};

/*
 * Tokens may go below zero: who takes is told how long to wait until the debt is
 * paid. So a request larger than the burst needs no special case, and those that
 * wait are served in the order in which they took.
 */
struct rate_bucket {
    struct rate rate;
    double tokens;
    uint64_t filled_ns; /* when tokens was right */
};

struct rate_limiter {
    struct rate_bucket bytes, operations;
};

/* Full buckets. now_ns: CLOCK_MONOTONIC, as everywhere here. Not thread-safe, as all of this. */
void rate_limiter_set(struct rate_limiter *limiter, const struct rate_limits *limits,
                      uint64_t now_ns);
struct rate_limits rate_limiter_get(const struct rate_limiter *limiter);
/* Takes one operation of so many bytes: the nanoseconds to wait before it is carried out. */
uint64_t rate_limiter_take(struct rate_limiter *limiter, uint64_t bytes, uint64_t now_ns);

static inline bool rate_limits_any(const struct rate_limits *limits)
{
    return limits->bytes.per_second != 0 || limits->operations.per_second != 0;
}

#endif

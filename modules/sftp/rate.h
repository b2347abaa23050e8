/* SPDX-License-Identifier: MIT */
/* How much there was of something over the last seconds. */
#ifndef SFTP_RATE_H
#define SFTP_RATE_H

#include <stdint.h>

/* Seconds that a rate is the mean of, the present one among them. */
#define RATE_SECONDS 5

/* All zero: nothing yet. Whose it is locks it. Times are milliseconds of a clock that only goes
   forward. */
struct rate {
    uint64_t count[RATE_SECONDS]; /* of each second, by its number modulo RATE_SECONDS */
    int64_t second;               /* the last one that anything was added in */
};

void rate_add(struct rate *rate, uint64_t count, int64_t now_ms);
/* A second's worth. */
uint64_t rate_get(const struct rate *rate, int64_t now_ms);

#endif

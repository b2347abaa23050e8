/* SPDX-License-Identifier: MIT */
/* Implements rates by a count for each of the last seconds. */
#include "modules/sftp/rate.h"

/* Of the seconds that a rate at that time is of. */
static int64_t first_of(int64_t second)
{
    return second >= RATE_SECONDS ? second - RATE_SECONDS + 1 : 0;
}

void rate_add(struct rate *rate, uint64_t count, int64_t now_ms)
{
    const int64_t second = now_ms / 1000;

    /* The seconds since then take the places of those that are too long ago. */
    for (int64_t i = first_of(second); i <= second; i++) {
        if (i > rate->second)
            rate->count[i % RATE_SECONDS] = 0;
    }
    rate->second = second;
    rate->count[second % RATE_SECONDS] += count;
}

uint64_t rate_get(const struct rate *rate, int64_t now_ms)
{
    const int64_t second = now_ms / 1000;
    uint64_t sum = 0;

    for (int64_t i = first_of(second); i <= rate->second; i++)
        sum += rate->count[i % RATE_SECONDS];
    return sum * 1000 / (uint64_t)((RATE_SECONDS - 1) * 1000 + now_ms % 1000 + 1);
}

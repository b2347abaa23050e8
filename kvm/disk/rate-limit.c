/* SPDX-License-Identifier: MIT */
/* Implements the token buckets. */
#include "kvm/disk/rate-limit.h"

#define NS_PER_SECOND 1000000000.0

static double capacity(const struct rate *rate)
{
    return (double)(rate->burst != 0 ? rate->burst : rate->per_second);
}

static struct rate_bucket full_bucket(struct rate rate, uint64_t now_ns)
{
    return (struct rate_bucket){.rate = rate, .tokens = capacity(&rate), .filled_ns = now_ns};
}

void rate_limiter_set(struct rate_limiter *limiter, const struct rate_limits *limits,
                      uint64_t now_ns)
{
    limiter->bytes = full_bucket(limits->bytes, now_ns);
    limiter->operations = full_bucket(limits->operations, now_ns);
}

struct rate_limits rate_limiter_get(const struct rate_limiter *limiter)
{
    return (struct rate_limits){.bytes = limiter->bytes.rate,
                                .operations = limiter->operations.rate};
}

static uint64_t take(struct rate_bucket *bucket, uint64_t amount, uint64_t now_ns)
{
    double rate = (double)bucket->rate.per_second;
    double most = capacity(&bucket->rate);

    if (bucket->rate.per_second == 0)
        return 0;
    if (now_ns > bucket->filled_ns)
        bucket->tokens += (double)(now_ns - bucket->filled_ns) * rate / NS_PER_SECOND;
    bucket->filled_ns = now_ns;
    if (bucket->tokens > most)
        bucket->tokens = most;
    bucket->tokens -= (double)amount;
    return bucket->tokens >= 0 ? 0 : (uint64_t)(-bucket->tokens / rate * NS_PER_SECOND);
}

uint64_t rate_limiter_take(struct rate_limiter *limiter, uint64_t bytes, uint64_t now_ns)
{
    uint64_t a = take(&limiter->bytes, bytes, now_ns);
    uint64_t b = take(&limiter->operations, 1, now_ns);

    return a > b ? a : b;
}

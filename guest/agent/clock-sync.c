/* SPDX-License-Identifier: MIT */
/*
 * Keeps the clock. Once a minute, and after whatever may have put it out, a few questions
 * go to the host one after the other. Of the answers the one that took the shortest way
 * counts: half of its round trip is as far as it can be wrong, and a clock that is within
 * that is left alone. Two clocks of one machine drift apart by less than 10 ms a minute
 * (the host's is corrected by up to 100 ppm, more if it is being set right); adjtime(3) makes
 * up for 30 ms in that time without a jump.
 */
#include "guest/agent/clock-sync.h"

#include <stdlib.h>
#include <sys/time.h>
#include <time.h>

#include "guest/agent/log.h"

#define PERIOD_MS 60000
/* After a step, to see how well it did. */
#define SOON_MS   5000
#define ANSWER_MS 5000
#define QUESTIONS 4
/* Less is noise of the measuring itself. */
#define SLACK_US 500

void clock_sync_init(struct clock_sync *sync)
{
    /* Cookies go on, so that late answers to earlier questions are known as such. */
    *sync = (struct clock_sync){.left = QUESTIONS, .cookie = sync->cookie};
}

static void begin_round(struct clock_sync *sync, int64_t at_ms)
{
    sync->next_ms = at_ms;
    sync->left = QUESTIONS;
    sync->has_best = false;
    sync->is_asking = false;
}

int clock_sync_wait(const struct clock_sync *sync, int64_t now_ms)
{
    int64_t wait = sync->next_ms - now_ms;

    return wait <= 0 ? 0 : (int)wait;
}

uint64_t clock_sync_ask(struct clock_sync *sync, int64_t now_ms, int64_t monotonic_us)
{
    if (sync->is_asking) {
        begin_round(sync, now_ms + PERIOD_MS);
        return 0;
    }
    sync->is_asking = true;
    sync->asked_us = monotonic_us;
    sync->next_ms = now_ms + ANSWER_MS;
    return ++sync->cookie;
}

bool clock_sync_answer(struct clock_sync *sync, uint64_t cookie, uint64_t host_us, int64_t now_ms,
                       int64_t monotonic_us, int64_t realtime_us, struct clock_sample *sample)
{
    struct clock_sample this = {.round_trip_us = monotonic_us - sync->asked_us};

    if (!sync->is_asking || cookie != sync->cookie || host_us > INT64_MAX)
        return false;
    sync->is_asking = false;
    this.offset_us = (int64_t)host_us + this.round_trip_us / 2 - realtime_us;
    if (!sync->has_best || this.round_trip_us < sync->best.round_trip_us)
        sync->best = this;
    sync->has_best = true;
    if (--sync->left > 0) {
        sync->next_ms = now_ms;
        return false;
    }
    *sample = sync->best;
    begin_round(sync, now_ms + (clock_judge(sample) == CLOCK_STEP ? SOON_MS : PERIOD_MS));
    return true;
}

enum clock_action clock_judge(const struct clock_sample *sample)
{
    int64_t off = llabs(sample->offset_us);
    int64_t unsure = sample->round_trip_us / 2;

    if (off <= unsure || off <= SLACK_US)
        return CLOCK_KEEP;
    return off - unsure > CLOCK_STEP_US ? CLOCK_STEP : CLOCK_SLEW;
}

static struct timeval to_timeval(int64_t us)
{
    struct timeval tv = {.tv_sec = us / 1000000, .tv_usec = us % 1000000};

    if (tv.tv_usec < 0) {
        tv.tv_sec--;
        tv.tv_usec += 1000000;
    }
    return tv;
}

enum clock_action clock_correct(const struct clock_sample *sample)
{
    enum clock_action action = clock_judge(sample);
    struct timeval offset = to_timeval(sample->offset_us);
    struct timeval now;
    int r = 0;

    if (action == CLOCK_SLEW) {
        r = adjtime(&offset, NULL);
    } else if (action == CLOCK_STEP) {
        /* What is left of a slew would come on top. */
        const struct timeval none = {0};

        (void)adjtime(&none, NULL);
        (void)gettimeofday(&now, NULL);
        timeradd(&now, &offset, &now);
        r = settimeofday(&now, NULL);
    }
    if (r < 0)
        agent_log_errno("cannot set the clock");
    else if (action == CLOCK_STEP)
        agent_log("the clock was off by %lld ms and is set", (long long)(sample->offset_us / 1000));
    return action;
}

/* SPDX-License-Identifier: MIT */
/* Keeping the guest's clock by the host's: when to ask, and what to make of the answers. */
#ifndef AGENT_CLOCK_SYNC_H
#define AGENT_CLOCK_SYNC_H

#include <stdbool.h>
#include <stdint.h>

/* An offset that is certainly larger is stepped over at once, so that it never reaches 50 ms. */
#define CLOCK_STEP_US 40000

struct clock_sample {
    int64_t offset_us;     /* host's clock less ours; off by at most half of the round trip */
    int64_t round_trip_us; /* of the question and its answer */
};

enum clock_action { CLOCK_KEEP, CLOCK_SLEW, CLOCK_STEP };

struct clock_sync {
    int64_t next_ms; /* when to ask; deadline_now()'s clock */
    unsigned int left;
    uint64_t cookie; /* of the question under way */
    int64_t asked_us;
    bool is_asking; /* it has no answer yet */
    bool has_best;
    struct clock_sample best; /* of this round */
};

/* The first question is due at once. Also after anything that may have put the clock out. */
void clock_sync_init(struct clock_sync *sync);

/* How long until the next question is due, in ms; 0: now, and clock_sync_ask() gives it. */
int clock_sync_wait(const struct clock_sync *sync, int64_t now_ms);

/*
 * The cookie of a question to send now. monotonic_us: CLOCK_MONOTONIC. 0: none, as the one
 * before was not answered in time, and the round is given up: older hosts answer none.
 */
uint64_t clock_sync_ask(struct clock_sync *sync, int64_t now_ms, int64_t monotonic_us);

/*
 * The answer: the host's time, our clocks as it came. true: the round is over, and what is to
 * be done follows from *sample (clock_judge()).
 */
bool clock_sync_answer(struct clock_sync *sync, uint64_t cookie, uint64_t host_us, int64_t now_ms,
                       int64_t monotonic_us, int64_t realtime_us, struct clock_sample *sample);

/* What a sample is good for: nothing, when the way took so long that even its sign is unsure. */
enum clock_action clock_judge(const struct clock_sample *sample);

/* Acts on it, for the whole system. What was done. */
enum clock_action clock_correct(const struct clock_sample *sample);

#endif

/* SPDX-License-Identifier: MIT */
/* Implements waiting awake by asking again and again. */
#include "modules/sftp/vigil.h"

#include <sched.h>

#include "lib/base/clock.h"

/* What comes at greater distances is worth a sleep. */
#define GAP_MAX_US 300
/* One part in so many of the time is spent awake, in runs of several answers. */
#define SHARE         3
#define CREDIT_MAX_US 1000

void vigil_init(struct vigil *vigil)
{
    cpu_set_t set;

    /* With more processors than fit the set there are enough, too. */
    *vigil = (struct vigil){.is_apt = sched_getaffinity(0, sizeof(set), &set) != 0 ||
                                      CPU_COUNT(&set) > 1};
}

void vigil_note(struct vigil *vigil, bool is_lone, int64_t now_us)
{
    int64_t gap = now_us - vigil->at_us;

    vigil->at_us = now_us;
    vigil->credit_us += gap / SHARE;
    if (vigil->credit_us > CREDIT_MAX_US)
        vigil->credit_us = CREDIT_MAX_US;
    vigil->for_us = 0;
    if (vigil->is_apt && is_lone && gap < GAP_MAX_US && vigil->credit_us >= 2 * gap)
        vigil->for_us = 2 * gap;
}

int vigil_poll(struct vigil *vigil, struct pollfd *pfd, nfds_t n)
{
    int64_t since, now;
    int r = 0;

    if (vigil->for_us == 0)
        return 0;
    since = now = clock_us(CLOCK_MONOTONIC);
    while (r == 0 && now < vigil->at_us + vigil->for_us) {
        r = poll(pfd, n, 0);
        if (r == 0)
            (void)sched_yield();
        now = clock_us(CLOCK_MONOTONIC);
    }
    vigil->credit_us -= now - since;
    return r;
}

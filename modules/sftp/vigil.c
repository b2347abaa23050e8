/* SPDX-License-Identifier: MIT */
/* Implements waiting awake by asking again and again. */
#include "modules/sftp/vigil.h"

#include <sched.h>

#include "lib/base/clock.h"

/* What comes at greater distances is worth a sleep. */
#define GAP_MAX_US 300

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
    vigil->for_us = vigil->is_apt && is_lone && gap < GAP_MAX_US ? 2 * gap : 0;
}

int vigil_poll(const struct vigil *vigil, struct pollfd *pfd, nfds_t n)
{
    int r = 0;

    while (vigil->for_us > 0 && clock_us(CLOCK_MONOTONIC) < vigil->at_us + vigil->for_us) {
        r = poll(pfd, n, 0);
        if (r != 0)
            break;
        (void)sched_yield();
    }
    return r;
}

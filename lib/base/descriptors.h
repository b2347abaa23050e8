/* SPDX-License-Identifier: MIT */
/* How many descriptors the process may have. */
#ifndef CROSH_BASE_DESCRIPTORS_H
#define CROSH_BASE_DESCRIPTORS_H

#include <stddef.h>
#include <sys/resource.h>

/*
 * Has the process be allowed so many, or as many as it can be, if those are more than it is now.
 * How many it may have then. For programs that run no others which more could surprise: select(2)
 * cannot have more than 1,024.
 */
static inline size_t descriptors_allow(size_t wanted)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return wanted;
    if (limit.rlim_cur < wanted) {
        const rlim_t before = limit.rlim_cur;

        limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
        if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
            return before;
    }
    return limit.rlim_cur;
}

#endif

/* SPDX-License-Identifier: MIT */
/* Runs in a guest: shows its clock and what is left of a slew, or puts the clock out. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>

/* "guest-clock": microseconds since 1970, and of the slew. "guest-clock N": N microseconds on. */
int main(int argc, char **argv)
{
    struct timeval now, left;

    if (gettimeofday(&now, NULL) < 0 || adjtime(NULL, &left) < 0)
        return 1;
    if (argc > 1) {
        const struct timeval none = {0};
        int64_t us = (int64_t)now.tv_sec * 1000000 + now.tv_usec + strtoll(argv[1], NULL, 10);

        now = (struct timeval){.tv_sec = us / 1000000, .tv_usec = us % 1000000};
        return adjtime(&none, NULL) < 0 || settimeofday(&now, NULL) < 0;
    }
    printf("%" PRId64 " %" PRId64 "\n", (int64_t)now.tv_sec * 1000000 + now.tv_usec,
           (int64_t)left.tv_sec * 1000000 + left.tv_usec);
    return 0;
}

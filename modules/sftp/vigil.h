/* SPDX-License-Identifier: MIT */
/* Waiting awake for an answer that comes at once. */
#ifndef SFTP_VIGIL_H
#define SFTP_VIGIL_H

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * Who asks for one thing after another, each when the last has come, waits for as long as the
 * threads and programs on the way take to wake. Where each of them wakes a processor that has gone
 * to sleep meanwhile, this is most of the time. A thread that stays awake between two answers
 * keeps a processor awake, and the scheduler has the others take turns on one that is, too.
 * It is done only while answers come that quickly, for a third of the time, which has most of the
 * effect, and gives way to whoever else wants to run.
 *
 * Used by one thread; times are microseconds of a clock that only goes forward.
 */
struct vigil {
    bool is_apt;       /* there is another processor for the others */
    int64_t at_us;     /* when the last answer came */
    int64_t for_us;    /* how long from then on the next is waited for so; 0: not at all */
    int64_t credit_us; /* what may be spent on it yet */
};

void vigil_init(struct vigil *vigil);

/* Notes that an answer came; is_lone says that at most one more is owed. */
void vigil_note(struct vigil *vigil, bool is_lone, int64_t now_us);

/* Waits for events as poll(2) has them, but for as long as was noted. What poll(2) returns; 0 when
   nothing came meanwhile, and it is to be waited for otherwise. */
int vigil_poll(struct vigil *vigil, struct pollfd *pfd, nfds_t n);

#endif

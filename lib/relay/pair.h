/* SPDX-License-Identifier: MIT */
/* Two streams whose bytes go from one to the other, both ways, with each direction's end. */
#ifndef CROSH_RELAY_PAIR_H
#define CROSH_RELAY_PAIR_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>

#include "lib/wire/frame-queue.h"

/* What waits in one direction at most; a slow reader stops its own writer, and nobody else. */
#define RELAY_QUEUE_LIMIT (128u * 1024u)

/* in and out may be one socket, non-blocking, or two descriptors that others share. */
struct relay_side {
    int in;
    int out;
    bool
        is_shared; /* they may block: read and written once when poll(2) says so, in small pieces */
    bool is_ended; /* in has come to its end */
    bool is_shut;  /* out was told of the other side's end, or takes no more */
    struct byte_queue queue; /* towards out */
};

struct relay_pair {
    struct relay_side sides[2];
};

/* The pair owns the descriptors from now on; shared ones are the caller's to duplicate. */
void relay_pair_init(struct relay_pair *pair, int a_in, int a_out, int b_in, int b_out);
void relay_pair_fini(struct relay_pair *pair);

/* Fills 4 entries: in and out of one side, then of the other. */
void relay_pair_prepare(const struct relay_pair *pair, struct pollfd polls[4]);

/* After poll(2). Whether the pair is over: both directions have ended, or one is broken. */
bool relay_pair_handle(struct relay_pair *pair, const struct pollfd polls[4]);

#endif

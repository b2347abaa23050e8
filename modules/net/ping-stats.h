/* SPDX-License-Identifier: MIT */
/* What came back of the echo requests to one target, counted and summed. */
#ifndef MODULES_NET_PING_STATS_H
#define MODULES_NET_PING_STATS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* The most requests that replies can still be matched with. */
#define PING_WINDOW 1024u

enum ping_answer {
    PING_ANSWER_FIRST,
    PING_ANSWER_DUPLICATE,
    PING_ANSWER_STALE, /* to nothing that was sent, or too long ago to say */
};

struct ping_request {
    int64_t sent_at_ns; /* 0: not sent */
    bool is_answered;
};

struct ping_stats {
    uint64_t sent, received, duplicates, errors;
    double min_ms, max_ms, sum_ms, sum_of_squares;
    struct ping_request *window; /* the requests last sent, by sequence number; not owned */
    unsigned int window_size;    /* a power of two, PING_WINDOW at most */
};

/* The window_size that does for count requests (0: without end). A sweep of many targets must not
   touch a page of memory for each. */
unsigned int ping_stats_window(uint64_t count);

/* Notes request number stats->sent as sent now (any clock, nanoseconds, not 0); returns its
   sequence number, which begins at 1. */
uint16_t ping_stats_sent(struct ping_stats *stats, int64_t now_ns);

/* Notes a reply; *rtt_ms is set unless it is stale. */
enum ping_answer ping_stats_received(struct ping_stats *stats, uint16_t sequence, int64_t now_ns,
                                     double *rtt_ms);

/* Standard deviation of the round trips, in milliseconds; 0 without any. */
double ping_stats_mdev(const struct ping_stats *stats);
double ping_stats_mean(const struct ping_stats *stats);
/* Requests without an answer, in percent. */
double ping_stats_loss(const struct ping_stats *stats);

/* Prints the closing lines as ping(8) does. */
void ping_stats_print(const struct ping_stats *stats, const char *name, int64_t elapsed_ms,
                      FILE *out);

#endif

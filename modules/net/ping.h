/* SPDX-License-Identifier: MIT */
/* Sends echo requests to one target or many, in one loop, and tells what comes back. */
#ifndef MODULES_NET_PING_H
#define MODULES_NET_PING_H

#include <stdbool.h>
#include <stdint.h>

#include <crosh/command.h>

#include "modules/net/ping-socket.h"
#include "modules/net/ping-stats.h"

struct ping_target {
    const char *name; /* as the user gave it; not owned */
    union net_address address;
    bool is_inside;  /* in the VMs' own network */
    char text[64];   /* the address in digits */
    bool is_settled; /* of a sweep: its line was printed */
    struct ping_stats stats;
};

struct ping_options {
    struct ping_socket_options socket;
    uint64_t count;      /* requests to each target; 0: without end */
    int64_t interval_ns; /* between requests to one target */
    int64_t gap_ns;      /* between requests to different ones */
    int64_t wait_ns;     /* for answers to the last request, when none came before */
    int64_t deadline_ns; /* for all; 0: none */
    size_t payload;      /* bytes */
    bool is_quiet, has_times, is_flood;
    bool is_sweep; /* a line for each target instead of one for each answer */
    bool is_json;
};

/*
 * Runs until everything is answered, time is up, or Ctrl-C. The exit status as ping(8) has
 * it: 0 when (in a sweep: all targets) answered, 1 when not; or negative with err filled.
 */
int ping_run(struct crosh_context *ctx, const struct ping_options *options,
             struct ping_target *targets, size_t count, struct crosh_error *err);

extern const struct crosh_command ping_command;

#endif

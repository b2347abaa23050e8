/* SPDX-License-Identifier: MIT */
/* Process 1's state, and what its files ask of each other. */
#ifndef AGENT_PID1_INTERNAL_H
#define AGENT_PID1_INTERNAL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "guest/agent/guest-link.h"
#include "guest/agent/network.h"
#include "guest/agent/pid1.h"
#include "guest/agent/server.h"
#include "guest/agent/startup.h"

struct pid1;

/* A child that is to run for ever. */
struct service {
    const char *name;
    void (*run)(struct pid1 *pid1); /* in the child; may return, which ends it */
    bool is_wanted;
    int retire_signal; /* makes it leave its place to another, without ending what it serves */
    pid_t pid;         /* 0: not running */
    bool is_retiring;
    int64_t start_at_ms;
};

enum { SERVICE_VSH, SERVICE_STREAMS, SERVICE_CONSOLE, SERVICE_COUNT };
enum { PORT_OF_VSH, PORT_OF_FILES, PORT_OF_SYSTEM, PORT_COUNT };
struct pid1 {
    const struct pid1_options *options;
    uint64_t boottime_init_us;
    uint64_t boottime_ready_us; /* 0: our ports do not listen yet */
    int signals;
    int button;
    struct server_port ports[PORT_COUNT];
    int streams_listener;
    struct network network;
    int network_tries; /* that are left; 0: it is set up, or there is none */
    int64_t network_at_ms;
    int64_t network_off_ms; /* since when the image's init has left the card off; 0: it has not */
    int64_t listen_at_ms;
    bool has_link;
    struct guest_link link;
    struct service services[SERVICE_COUNT];
    struct startup startup;
    bool is_companion; /* the image has an init of its own, whose child we are */
    pid_t trial;       /* another agent on trial; 0: none */
    int64_t trial_deadline;
};

/* pid1-handover.c: from one agent to the next. */
/* The other agent is there, in link.upgrade: tries it. */
void pid1_begin_trial(struct pid1 *pid1);
/* A child has ended. When it was the trial: becomes the other agent, or stays. */
void pid1_end_trial(struct pid1 *pid1, pid_t pid, int wait_status);
/* How long the trial may still take, in ms, or -1. */
int pid1_watch_trial(struct pid1 *pid1);
/*
 * Goes on from where another agent was (options->handover). Its services are still there: they
 * keep what they serve, and leave everything new to ours. false: there is nothing to go on from.
 */
bool pid1_take_over(struct pid1 *pid1);

#endif

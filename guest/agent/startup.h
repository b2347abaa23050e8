/* SPDX-License-Identifier: MIT */
/* What the image wants to be started: steps one after the other, and services beside them. */
#ifndef AGENT_STARTUP_H
#define AGENT_STARTUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/wire/handover.pb-c.h"

/* Where an image says what it wants; see doc/protocols.md, "Start-up". */
#define STARTUP_FILE "/etc/crosh/startup"
/* Where its course is written, one line a stage; replaced as a whole at each change. */
#define STARTUP_DIRECTORY   "/run/crosh"
#define STARTUP_STAGES_NAME "stages"
/* Its last line once nothing will change any more. */
#define STARTUP_OVER "over"

#define STARTUP_TASKS_MAX 32

struct task {
    enum task_kind { TASK_STEP, TASK_SERVICE, TASK_STOP } kind;
    enum task_state { TASK_WAITING, TASK_RUNNING, TASK_DONE, TASK_FAILED } state;
    char *name;
    char **argv; /* NULL-terminated */
    pid_t pid;   /* 0: not running */
    int64_t began_ms, ended_ms;
    int64_t start_at_ms; /* of a service: not before */
    char detail[160];
};

#define STARTUP_STATES 4
/* The states' names in the file. */
extern const char *const startup_states[STARTUP_STATES];

struct startup {
    struct task tasks[STARTUP_TASKS_MAX];
    size_t count;
    size_t next;  /* the first that was not begun, or the step that runs */
    bool is_over; /* nothing more will be begun: all done, or a step failed */
};

/* Reads the file; a file that is not there has no tasks. 0 or negative, with a message logged. */
int startup_load(struct startup *startup, const char *file);
/* There will be no start-up: one stage that failed, for that reason. */
void startup_fail(struct startup *startup, const char *name, const char *reason);
void startup_fini(struct startup *startup);

/* Writes how far everything is where others find it; startup_run() does so at each change. */
void startup_publish(const struct startup *startup);

/* Begins what is due. How long until something else is, in ms, or -1. */
int startup_run(struct startup *startup);

/* A child has ended: whether it was one of ours. */
bool startup_reap(struct startup *startup, pid_t pid, int wait_status);

/* Runs what the image wants before the system ends, each for at most timeout_ms. */
void startup_stop(struct startup *startup, int timeout_ms);

/* What the next agent needs to know, in messages that entries and pointers have room for. */
void startup_hand_over(const struct startup *startup, Handover__State *state,
                       Handover__Task entries[STARTUP_TASKS_MAX],
                       Handover__Task *pointers[STARTUP_TASKS_MAX]);
/* Goes on from there, with the same file loaded. */
void startup_take_over(struct startup *startup, const Handover__State *state);

#endif

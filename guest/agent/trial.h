/* SPDX-License-Identifier: MIT */
/* From one agent to the next within process 1: a trial in another process, then execve(2). */
#ifndef AGENT_TRIAL_H
#define AGENT_TRIAL_H

#include <sys/types.h>

#include <crosh/error.h>

#include "lib/wire/handover.pb-c.h"

/* How long the other agent may take to say that it could go on. */
#define TRIAL_MS 20000

/*
 * Runs the program once, in a process of its own, with what it would have to go on from: it
 * ends with status 0 if it could. The process's id, or negative with the reason.
 */
pid_t trial_start(int program, const Handover__State *state, struct crosh_error *err);

/*
 * Becomes the program, with the arguments argv and "--handover FD" (in place of such a pair).
 * Returns on failure only, negative with the reason, and nothing has changed.
 */
int trial_become(int program, const Handover__State *state, char *const *argv,
                 struct crosh_error *err);

#endif

/* SPDX-License-Identifier: MIT */
/* What process 1 leaves to the agent that it becomes (handover.proto). */
#ifndef AGENT_HANDOVER_H
#define AGENT_HANDOVER_H

#include <stdbool.h>

#include <crosh/error.h>

#include "lib/wire/handover.pb-c.h"

#define HANDOVER_VERSION 1

/* A descriptor (close-on-exec) that holds the state; negative with the reason. */
int handover_write(const Handover__State *state, struct crosh_error *err);

/* Reads it, wherever the descriptor's offset is. NULL: it is none that is understood here. */
Handover__State *handover_read(int fd);

/*
 * For a process of its own, in the program that is on trial: whether it could go on from
 * there. 0, or 1.
 */
int handover_try(int fd);

/* Whether descriptors survive execve(2). */
void handover_keep_open(const Handover__State *state, bool is_kept);

#endif

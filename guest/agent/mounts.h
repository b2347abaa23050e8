/* SPDX-License-Identifier: MIT */
/* The file systems that every guest needs, and leaving all file systems clean at the end. */
#ifndef AGENT_MOUNTS_H
#define AGENT_MOUNTS_H

#include <stdbool.h>

/* Mounts /proc, /sys, /dev and their like; what fails is logged and done without. */
void mounts_make(void);

/*
 * Unmounts directories of the host's; with SIGCHLD blocked. False: after timeout_ms there is one
 * for which nobody answers, and whatever waits for it, sync(2) with it, may do so for ever.
 */
bool mounts_end_shared(int timeout_ms);
/* Unmounts what else can be unmounted and makes the rest read-only, which writes it all out. */
void mounts_end(void);

#endif

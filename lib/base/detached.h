/* SPDX-License-Identifier: MIT */
/* Runs this program again, without the terminal. */
#ifndef CROSH_BASE_DETACHED_H
#define CROSH_BASE_DETACHED_H

#include <sys/types.h>

#include <crosh/error.h>

/* Arguments that a program run so may have. */
#define DETACHED_ARGS_MAX 16

/*
 * Starts the running program anew with the arguments (NULL-terminated, the program's own name not
 * among them). It has /dev/null for its standard streams, but out, unless that is -1, for its
 * output; no other descriptor, no signal blocked or ignored, and a session of its own. The id of
 * the process, which is to be waited for, or negative errno.
 */
pid_t detached_child(const char *const *args, int out);

/* As that, but nobody's child: nobody waits for it. 0, or negative with err. */
int detached_start(const char *const *args, struct crosh_error *err);

#endif

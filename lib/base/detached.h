/* SPDX-License-Identifier: MIT */
/* Runs this program again, on its own: without the terminal, and nobody's child. */
#ifndef CROSH_BASE_DETACHED_H
#define CROSH_BASE_DETACHED_H

#include <crosh/error.h>

/* Arguments that a program run so may have. */
#define DETACHED_ARGS_MAX 16

/*
 * Starts the running program anew with the arguments (NULL-terminated, the program's own name not
 * among them). It has /dev/null for its standard streams, no other descriptor, no signal blocked
 * or ignored, and a session of its own; nobody waits for it. 0, or negative with err.
 */
int detached_start(const char *const *args, struct crosh_error *err);

#endif

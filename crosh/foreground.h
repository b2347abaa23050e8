/* SPDX-License-Identifier: MIT */
/* Programs that run as a command: in the foreground, with the command's own streams. */
#ifndef CROSH_FOREGROUND_H
#define CROSH_FOREGROUND_H

#include <crosh/command.h>

/*
 * Runs argv with the command's standard streams and waits for it; a terminal
 * gets its modes back afterwards. The program's exit status (128+N for signal
 * N), or negative with err filled.
 */
int foreground_run(struct crosh_context *ctx, char *const *argv, struct crosh_error *err);

#endif

/* SPDX-License-Identifier: MIT */
/* The interactive shell: prompt, line, run, again. */
#ifndef CROSH_REPL_H
#define CROSH_REPL_H

#include "crosh/shell.h"

/* Runs until "exit", Ctrl-D or a hang-up; returns the status to end with. */
int repl_run(struct shell *shell);

#endif

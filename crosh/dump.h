/* SPDX-License-Identifier: MIT */
/* What the command table says, written for other programs: JSON and manual pages. */
#ifndef CROSH_DUMP_H
#define CROSH_DUMP_H

#include "crosh/shell.h"

/* All commands of the shell and its modules as one JSON object. */
int dump_commands(struct shell *shell, FILE *out, struct crosh_error *err);

/* The manual page of one top-level command. */
int dump_man(struct shell *shell, const char *name, FILE *out, struct crosh_error *err);

/*
 * What can complete a line, one candidate a line: text, tab, description. The
 * line is what stands behind the word "crosh", up to the cursor; self is the
 * table of crosh's own options. A candidate that goes on ends in "/" or "=".
 */
int dump_completion(struct shell *shell, const char *line, const struct command *self, FILE *out);

#endif

/* SPDX-License-Identifier: MIT */
/* Hints: how a line that is being typed may go on. */
#ifndef CROSH_HINTS_H
#define CROSH_HINTS_H

#include <stdbool.h>

#include "crosh/shell.h"

/*
 * What may follow the line: the rest of the last line of the history that
 * begins so (*is_acceptable: it may be taken into the line), else the arguments
 * that the command still expects. Heap; NULL when there is nothing to say.
 */
char *hint_for_line(struct shell *shell, const char *line, bool *is_acceptable);

#endif

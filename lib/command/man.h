/* SPDX-License-Identifier: MIT */
/* Manual pages, rendered from the command table. */
#ifndef CROSH_LIB_MAN_H
#define CROSH_LIB_MAN_H

#include "lib/command/command.h"

/*
 * Writes the page crosh-NAME(1) of a top-level command: synopsis, description,
 * every sub-command with its arguments and options, examples, exit statuses.
 */
void crosh_priv_man_print(FILE *out, const struct command *command);

/* Writes one page, crosh-NAME(1), of several top-level commands. */
void crosh_priv_man_print_list(FILE *out, const char *name, const char *summary,
                               struct command *const *commands, size_t count);

#endif

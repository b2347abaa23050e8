/* SPDX-License-Identifier: MIT */
/* Completion of sub-commands, options and values from the command table. */
#ifndef CROSH_LIB_COMPLETE_H
#define CROSH_LIB_COMPLETE_H

#include "lib/command/command.h"
#include "lib/command/matches.h"

/*
 * Adds the candidates for the word after words (NULL-terminated; words[0] is
 * the command's own name) that begin with matches' prefix.
 */
void crosh_priv_complete(struct crosh_context *ctx, const struct command *command,
                         const char *const *words, struct crosh_matches *matches);

/* The same for a command that has no sub-commands; words begin after its name. */
void crosh_priv_complete_words(struct crosh_context *ctx, const struct command *command,
                               const char *const *words, struct crosh_matches *matches);

/* Adds the files of the host that begin with the prefix; directories end with "/". */
void crosh_priv_complete_path(const char *prefix, struct crosh_matches *matches);

#endif

/* SPDX-License-Identifier: MIT */
/* Parses a command line against its command's table. */
#ifndef CROSH_LIB_ARGS_H
#define CROSH_LIB_ARGS_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/command/command.h"

/* The values of one parameter as given: NULL-terminated, strings owned. */
struct args_values {
    char **values;
    size_t count;
};

struct crosh_args {
    const struct command *command;
    struct args_values *params; /* one for each of command->params */
    bool wants_help;            /* --help or -h was given: nothing else was checked */
};

/* What the next word would be, for completion. */
struct args_position {
    const struct crosh_param *option_value; /* the word is this option's value */
    const struct crosh_param *argument;     /* the word is this argument, or NULL: none is left */
    bool options_allowed;                   /* a word that begins with "-" is an option */
};

/*
 * Follows argv (argv[0] is the command's own name) into sub-commands.
 * *command becomes the deepest one and *rest its first argument. CROSH_EUSAGE
 * when a sub-command is missing or unknown; "--help" in its place is left to
 * crosh_priv_args_parse() of the command reached.
 */
int crosh_priv_command_resolve(const struct command **command, const char *const *argv,
                               const char *const **rest, struct crosh_error *err);

/* Parses words (NULL-terminated, without the command's name). NULL with err filled. */
struct crosh_args *crosh_priv_args_parse(const struct command *command, const char *const *words,
                                         struct crosh_error *err);

/*
 * Parses what stands before the word under completion, ignoring what is wrong,
 * and tells what the next word is. NULL only for lack of memory.
 */
struct crosh_args *crosh_priv_args_parse_partial(const struct command *command,
                                                 const char *const *words,
                                                 struct args_position *position);

void crosh_priv_args_free(struct crosh_args *args);

#endif

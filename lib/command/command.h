/* SPDX-License-Identifier: MIT */
/* A module's command table, copied and checked once, so that the rest need not know its age. */
#ifndef CROSH_LIB_COMMAND_H
#define CROSH_LIB_COMMAND_H

#include <stdbool.h>
#include <stddef.h>

#include <crosh/command.h>

/*
 * The module may be older or newer than this library: its structs may be
 * smaller or larger than ours. command_new() copies min(size) bytes of each
 * over zeroes; everything else reads the copies. Strings stay the module's.
 */
struct command {
    struct crosh_command entry; /* params and subcommands in here are the module's: do not use */
    struct crosh_param *params; /* param_count of our own size */
    size_t param_count;
    struct command **subcommands;
    size_t subcommand_count;
    const struct command *parent; /* NULL for a top-level command */
};

/* Longest name of a command or parameter, deepest nesting, most entries of one array. */
#define COMMAND_NAME_MAX  64
#define COMMAND_DEPTH_MAX 4
#define COMMAND_ARRAY_MAX 4096

/* NULL with err filled when the table breaks a rule of <crosh/command.h>. */
struct command *crosh_priv_command_new(const struct crosh_command *table, struct crosh_error *err);
void crosh_priv_command_free(struct command *command);

const struct command *crosh_priv_command_sub(const struct command *command, const char *name);

/* "vmc start" into buf; returns buf. */
const char *crosh_priv_command_path(const struct command *command, char *buf, size_t size);

static inline bool param_is_argument(const struct crosh_param *param)
{
    return (param->flags & CROSH_PARAM_ARGUMENT) != 0;
}

#endif

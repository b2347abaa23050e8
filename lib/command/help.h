/* SPDX-License-Identifier: MIT */
/* Help texts, rendered from the command table. */
#ifndef CROSH_LIB_HELP_H
#define CROSH_LIB_HELP_H

#include "lib/command/command.h"

/* The whole help of a command: usage, description, arguments, options, sub-commands, examples. */
void crosh_priv_help_print(struct crosh_context *ctx, const struct command *command);

/* "usage: vmc start [OPTIONS] NAME", without a newline. */
void crosh_priv_help_usage(FILE *out, const struct command *command);

/* "-k, --kernel-param=PARAM", or an argument's value name. */
void crosh_priv_help_param_name(const struct crosh_param *param, char *buf, size_t size);

/* A parameter's summary with what the table knows besides: choices, default, repetition. */
void crosh_priv_help_param_summary(const struct crosh_param *param, char *buf, size_t size);

/* Columns of the terminal on crosh_stdout(), 80 when it is none; at most 100, at least 40. */
size_t crosh_priv_help_width(struct crosh_context *ctx);

#endif

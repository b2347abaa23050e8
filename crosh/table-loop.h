/* SPDX-License-Identifier: MIT */
/* Runs the command languages of modules. */
#ifndef CROSH_TABLE_LOOP_H
#define CROSH_TABLE_LOOP_H

#include <crosh/subshell.h>

/* As crosh_subshell_run(); for the context. */
int table_loop_run(struct crosh_context *ctx, const struct crosh_subshell *subshell,
                   struct crosh_error *err);

#endif

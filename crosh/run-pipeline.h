/* SPDX-License-Identifier: MIT */
/* Runs one pipeline: a command of crosh, redirections, and programs behind it. */
#ifndef CROSH_RUN_PIPELINE_H
#define CROSH_RUN_PIPELINE_H

#include "crosh/script/syntax.h"
#include "crosh/shell.h"

struct run_result {
    int status;
    bool is_reported;  /* the reason for a status other than 0 has been printed */
    unsigned int line; /* of the command */
    char what[96];     /* the command in short */
};

/*
 * The first command is one of crosh's; those after "|" are programs of the
 * host. ctx has the streams of what is not redirected. The status is that of
 * the last part, or with the setting pipefail of the last part that failed.
 */
void run_pipeline(struct crosh_context *ctx, const struct pipeline *pipeline,
                  const struct source *source, struct run_result *result);

/* Runs words without redirections. */
void run_argv(struct shell *shell, const char *const *argv, const struct source *source,
              struct run_result *result);

#endif

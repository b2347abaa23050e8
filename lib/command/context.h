/* SPDX-License-Identifier: MIT */
/* What stands behind the public struct crosh_context: made by the shell for each command it runs.
 */
#ifndef CROSH_LIB_CONTEXT_H
#define CROSH_LIB_CONTEXT_H

#include <stdio.h>

#include <crosh/command.h>
#include <crosh/subshell.h>

/*
 * A plain struct, set up by the shell. The streams are flushed, never closed,
 * by the library. interrupt_fd stays readable from Ctrl-C until the shell
 * drains it before the next command line.
 */
struct crosh_context {
    FILE *out;
    FILE *err;
    int in_fd;
    int interrupt_fd;
    /* Runs words as a command line in this context, for crosh_run_words(). */
    int (*run_words)(struct crosh_context *ctx, const char *const *argv, struct crosh_error *err);
    /* Adds the candidates for the word that follows words on a command line; NULL: there are none.
     */
    void (*complete)(struct crosh_context *ctx, const char *const *words,
                     struct crosh_matches *matches);
    /* For crosh_subshell_run(); NULL: not here. */
    int (*run_subshell)(struct crosh_context *ctx, const struct crosh_subshell *subshell,
                        struct crosh_error *err);
    /* What the user has set: 1 colour always, 0 never, -1 by the terminal; NULL: by the terminal.
     */
    int (*colour)(struct crosh_context *ctx);
    /* The value of a setting as text, the shell's; NULL: there is none of that name. */
    const char *(*setting)(struct crosh_context *ctx, const char *name);
    void *shell; /* for run_words and the built-in commands */
    /* For crosh_page_output(); NULL: nothing is paged. */
    void (*page)(struct crosh_context *ctx);
    void *pager;    /* while out is held back for it, else NULL */
    FILE *terminal; /* what out was before; NULL: out is not held back */
};

#endif

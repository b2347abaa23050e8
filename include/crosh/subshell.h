/* SPDX-License-Identifier: MIT */
/* A command language of a module's own: a table of commands, run line by line. */
#ifndef CROSH_SUBSHELL_H
#define CROSH_SUBSHELL_H

#include <crosh/command.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * What a module gives for it. On a terminal the lines are edited, completed and remembered as
 * crosh's own are; else they are a script, which ends at the first command that fails unless a
 * "-" stands before that. Words are quoted as in crosh; "#" begins a comment, and a line that
 * begins with "!" is for /bin/sh.
 */
struct crosh_subshell {
    uint32_t struct_size;                 /* sizeof(struct crosh_subshell) in the module's build */
    const char *name;                     /* a word: of the history's file, and before messages */
    const struct crosh_command *commands; /* its sub-commands are the language */
    char *(*prompt)(void *opaque);        /* heap memory, or NULL */
    int (*is_over)(void *opaque);         /* asked after each command: true ends it */
    void *opaque;
};

/*
 * Reads lines from the command's standard input and runs them until the end. Returns the status
 * of the last command (of a script: of the one that ended it), or negative with err filled.
 */
int crosh_subshell_run(struct crosh_context *ctx, const struct crosh_subshell *subshell,
                       struct crosh_error *err);

#ifdef __cplusplus
}
#endif
#endif

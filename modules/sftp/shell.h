/* SPDX-License-Identifier: MIT */
/* The session that the commands of "sftp shell" work in. */
#ifndef SFTP_SHELL_H
#define SFTP_SHELL_H

#include <stdbool.h>

#include <crosh/command.h>

#include "modules/sftp/calls.h"
#include "modules/sftp/where.h"

struct sftp_shell {
    struct sftp_where where;
    struct sftp_open_options options;
    struct sftp_client *client; /* NULL: to be connected */
    char *directory;            /* absolute, at the server */
    bool is_over;
};

/* The one that is open, connected again if it was lost; NULL with err. One at a time. */
struct sftp_shell *sftp_shell_session(struct crosh_error *err);
/* The same as it is: for completion. NULL: none, or not connected. */
struct sftp_shell *sftp_shell_open(void);

/*
 * A command's work in the session, which is connected again before it if it was lost: Ctrl-C ends
 * what waits for the server in it. Returns the exit status, or negative with err.
 */
typedef int sftp_shell_work_fn(struct sftp_shell *shell, struct crosh_context *ctx,
                               const struct crosh_args *args, struct crosh_error *err);
int sftp_shell_work(struct crosh_context *ctx, const struct crosh_args *args,
                    sftp_shell_work_fn *work, struct crosh_error *err);

/* What a word means at the server: absolute, on the heap; NULL: no memory. */
char *sftp_shell_path(const struct sftp_shell *shell, const char *word);

/* shell-commands.c: the table, whose sub-commands are the commands. */
extern const struct crosh_command sftp_shell_commands;

#endif

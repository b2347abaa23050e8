/* SPDX-License-Identifier: MIT */
/* The commands of the sftp module. */
#ifndef SFTP_COMMANDS_H
#define SFTP_COMMANDS_H

#include <stdbool.h>

#include <crosh/command.h>

#include "modules/sftp/where.h"

crosh_run_fn sftp_run_ls;
crosh_run_fn sftp_run_get;
crosh_run_fn sftp_run_put;
crosh_run_fn sftp_run_sync;
crosh_run_fn sftp_run_shell;
crosh_run_fn sftp_run_mount;
crosh_run_fn sftp_run_umount;
crosh_run_fn sftp_run_list;

/*
 * Complete guests' names, and behind "TARGET:" the paths there, as far as they come soon and
 * without a question; either: files here as well.
 */
crosh_complete_fn sftp_complete_target, sftp_complete_either;

/*
 * Whether the word is a place at a server, and not a file here: a colon tells, unless it
 * begins as a path does.
 */
bool sftp_is_place(const char *word);

/*
 * As sftp_where_parse(); and how to reach a guest, by the command's --ssh or the setting
 * sftp.transport.
 */
int sftp_where_find(struct sftp_where *where, struct crosh_context *ctx,
                    const struct crosh_args *args, const char *text, struct crosh_error *err);

#endif

/* SPDX-License-Identifier: MIT */
/* The commands of the sftp module. */
#ifndef SFTP_COMMANDS_H
#define SFTP_COMMANDS_H

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
 * As sftp_where_parse(); and how to reach a guest, by the command's --ssh or the setting
 * sftp.transport.
 */
int sftp_where_find(struct sftp_where *where, struct crosh_context *ctx,
                    const struct crosh_args *args, const char *text, struct crosh_error *err);

#endif

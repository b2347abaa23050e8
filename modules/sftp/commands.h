/* SPDX-License-Identifier: MIT */
/* The commands of the sftp module. */
#ifndef SFTP_COMMANDS_H
#define SFTP_COMMANDS_H

#include <crosh/command.h>

crosh_run_fn sftp_run_ls;
crosh_run_fn sftp_run_get;
crosh_run_fn sftp_run_put;
crosh_run_fn sftp_run_sync;
crosh_run_fn sftp_run_shell;
crosh_run_fn sftp_run_mount;
crosh_run_fn sftp_run_umount;
crosh_run_fn sftp_run_list;

#endif

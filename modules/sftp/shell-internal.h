/* SPDX-License-Identifier: MIT */
/* What the parts of the shell's commands share. */
#ifndef SFTP_SHELL_INTERNAL_H
#define SFTP_SHELL_INTERNAL_H

#include <stddef.h>
#include <stdint.h>

#include "modules/sftp/shell.h"

/* ---- shell-paths.c ---- */

/* Fills err with the code's own words, of what the word means; returns the code. */
int shell_fail(const char *word, int code, struct crosh_error *err);

/*
 * The paths at the server that words mean, of which patterns are several; on the heap, freed by
 * crosh_strv_free(). NULL with err.
 */
char **shell_remote_paths(const struct sftp_shell *shell, const char *const *words,
                          size_t word_count, struct crosh_error *err);
/* The same of files here. */
char **shell_local_paths(const char *const *words, size_t word_count, struct crosh_error *err);

/* Does something to each path that the words of the argument "path" mean; 0 or negative. */
typedef int shell_path_fn(struct sftp_shell *shell, const char *path, int64_t value);
int shell_for_each(struct sftp_shell *shell, const struct crosh_args *args, shell_path_fn *work,
                   int64_t value, struct crosh_error *err);

crosh_complete_fn shell_complete_remote;

/* ---- shell-files.c ---- */

crosh_run_fn shell_run_cd, shell_run_pwd, shell_run_lcd, shell_run_lpwd, shell_run_ls,
    shell_run_mkdir, shell_run_rmdir, shell_run_rename, shell_run_ln, shell_run_chmod,
    shell_run_chown, shell_run_chgrp, shell_run_stat, shell_run_df;

/* ---- shell-remove.c ---- */

crosh_run_fn shell_run_rm;

/* ---- shell-copies.c ---- */

crosh_run_fn shell_run_get, shell_run_put;

#endif

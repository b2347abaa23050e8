/* SPDX-License-Identifier: MIT */
/* Listings of directories at a server, as people read them. */
#ifndef SFTP_LIST_FILES_H
#define SFTP_LIST_FILES_H

#include <stdbool.h>

#include <crosh/command.h>

#include "modules/sftp/calls.h"

/* The entries of a directory, or the one that is no directory, sorted. 0 or negative errno. */
int list_files_read(struct sftp_client *client, const char *path, struct sftp_entries *entries);

/* Names, or a table of all there is to know. 0 or negative. */
int list_files_print(struct crosh_context *ctx, const struct sftp_entries *entries, bool is_long,
                     struct crosh_error *err);

/* "drwxr-xr-x", as ls(1) writes it; the time as it is here. */
void list_files_mode(uint32_t mode, char text[11]);
void list_files_time(uint32_t seconds, char *text, size_t size);

#endif

/* SPDX-License-Identifier: MIT */
/* How a mount is, told to whoever connects to its status socket, and when it has to end. */
#ifndef SFTP_FS_STATUS_H
#define SFTP_FS_STATUS_H

#include <crosh/error.h>

struct fs;
struct fs_status;

/*
 * The mount is at directory, and not served yet. Listens at path; each who connects gets one JSON
 * object: state ("connected" or "lost"), reason, connections, sent_bytes and received_bytes, both
 * also _per_second (see rate.h), cached_names, cached_listings, cached_files (small ones, read
 * before they are opened), cache_asked (names, attributes and listings that the kernel asked for,
 * beyond what it knew) and cache_known (those that were answered without the server),
 * lost_write_bytes. Sends the process SIGTERM when the mount is gone from its namespace, though
 * not from all, and no file is open. NULL with err.
 */
struct fs_status *fs_status_start(struct fs *fs, const char *directory, const char *path,
                                  struct crosh_error *err);
void fs_status_stop(struct fs_status *status);

#endif

/* SPDX-License-Identifier: MIT */
/* What reading and writing an open file of a mount share. */
#ifndef SFTP_FS_FILE_INTERNAL_H
#define SFTP_FS_FILE_INTERNAL_H

#include "modules/sftp/fs-file.h"
#include "modules/sftp/fs.h"

/* Connections tried for one operation. */
#define FILE_TRIES 3

/*
 * With the file's lock, given up while there is no connection: the connection that the handle is
 * good for, opened anew if it has to be. To be put back by remote_put(). NULL with *error.
 */
struct connection *file_connected(struct file *file, int *error);

/* With the file's lock, which is given up: as file_put(). */
void file_put_unlock(struct file *file);

/* Closes the handle, without waiting, if its connection (may be NULL) still lives; puts that back.
 */
void file_give_back(struct fs *fs, struct connection *connection, const struct sftp_handle *handle);

/* Sends what waits to be sent, all by the first connection or done. 0, or why there is none. */
int file_send(struct file *file);

/*
 * Whether a read is alone: it neither goes on in order nor is known, and asks for no more than one
 * request brings. Notes the read if so.
 */
bool file_is_read_alone(struct file *file, uint64_t offset, size_t size);

/* With the file's lock: forgets what was read ahead. */
void file_drop_pieces(struct file *file);

#endif

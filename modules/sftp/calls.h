/* SPDX-License-Identifier: MIT */
/* SFTP's operations one at a time: each waits for its answer. */
#ifndef SFTP_CALLS_H
#define SFTP_CALLS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/statvfs.h>

#include "modules/sftp/client.h"

/*
 * Each returns 0 or a negative errno: the server's reason as far as its codes tell it
 * (-EIO for its "failure"), or why there is no answer. Paths are bytes as the server's
 * system has them; relative ones begin in the directory where the session begins.
 */

/* A file or directory that the server holds open. */
struct sftp_handle {
    uint8_t bytes[256];
    size_t size;
};

/* One entry of a directory. name is of one component, checked, ended by NUL, on the heap. */
struct sftp_entry {
    char *name;
    struct sftp_attrs attrs;
};

struct sftp_entries {
    struct sftp_entry *entry;
    size_t count;
    size_t refused; /* left out, for their names */
    size_t bytes;   /* of memory for the names, about */
    size_t idle;    /* answers in a row that brought nothing */
};

/* The absolute path, on the heap. */
int sftp_realpath(struct sftp_client *client, const char *path, char **absolute);
/* What is at path; not following a link there. */
int sftp_lstat(struct sftp_client *client, const char *path, struct sftp_attrs *attrs);
/* The same, following links. */
int sftp_stat(struct sftp_client *client, const char *path, struct sftp_attrs *attrs);
int sftp_setstat(struct sftp_client *client, const char *path, const struct sftp_attrs *attrs);
/* Of a link itself where the server can (SFTP_CAN_LSETSTAT), else -EOPNOTSUPP. */
int sftp_lsetstat(struct sftp_client *client, const char *path, const struct sftp_attrs *attrs);
int sftp_readlink(struct sftp_client *client, const char *path, char **target);
/*
 * These four make something, and tell of it in the same round trip: the attributes of what
 * is there afterwards, with flags of 0 when that is not known. -EEXIST when something was there.
 */
int sftp_symlink(struct sftp_client *client, const char *target, const char *path,
                 struct sftp_attrs *attrs);
int sftp_link(struct sftp_client *client, const char *path, const char *new_path,
              struct sftp_attrs *attrs);
int sftp_mkdir(struct sftp_client *client, const char *path, uint32_t mode,
               struct sftp_attrs *attrs);
/* flags: SFTP_OPEN_*; mode: of a file that is made. */
int sftp_create(struct sftp_client *client, const char *path, uint32_t flags, uint32_t mode,
                struct sftp_handle *handle, struct sftp_attrs *attrs);
int sftp_rmdir(struct sftp_client *client, const char *path);
int sftp_remove(struct sftp_client *client, const char *path);
/*
 * Renames, in place of what is at new_path where the server can (SFTP_CAN_POSIX_RENAME);
 * else -EEXIST or -EIO when something is there.
 */
int sftp_rename(struct sftp_client *client, const char *path, const char *new_path);
/* The same, but never in place of something: -EEXIST. */
int sftp_rename_new(struct sftp_client *client, const char *path, const char *new_path);
int sftp_statvfs(struct sftp_client *client, const char *path, struct statvfs *vfs);

/* flags: SFTP_OPEN_*; mode: of a file that is made with SFTP_OPEN_CREATE. */
int sftp_open(struct sftp_client *client, const char *path, uint32_t flags, uint32_t mode,
              struct sftp_handle *handle);
/* Opens for reading, and tells what is there in the same round trip; flags of 0: not known. */
int sftp_open_known(struct sftp_client *client, const char *path, struct sftp_handle *handle,
                    struct sftp_attrs *attrs);
int sftp_fstat(struct sftp_client *client, const struct sftp_handle *handle,
               struct sftp_attrs *attrs);
/* The same of two at once, which may be of two servers. The first error of the two. */
int sftp_fstat_two(struct sftp_client *const clients[2], const struct sftp_handle *const handles[2],
                   struct sftp_attrs attrs[2]);
int sftp_fsetstat(struct sftp_client *client, const struct sftp_handle *handle,
                  const struct sftp_attrs *attrs);
/* -EOPNOTSUPP where the server cannot (SFTP_CAN_FSYNC). */
int sftp_fsync(struct sftp_client *client, const struct sftp_handle *handle);
int sftp_close(struct sftp_client *client, const struct sftp_handle *handle);
/* The same, telling what the file is like at the end; flags of 0: not known. */
int sftp_close_known(struct sftp_client *client, const struct sftp_handle *handle,
                     struct sftp_attrs *attrs);
/* As sftp_close() without waiting; sent with the next flush. What the server says of it is not
 * heard. */
void sftp_close_unheard(struct sftp_client *client, const struct sftp_handle *handle);
/* As that, of sftp_fsetstat(). */
void sftp_fsetstat_unheard(struct sftp_client *client, const struct sftp_handle *handle,
                           const struct sftp_attrs *attrs);

/*
 * All entries of a directory but "." and ".."; those whose names cannot be names here are
 * left out. Freed by sftp_entries_free().
 */
int sftp_list(struct sftp_client *client, const char *path, struct sftp_entries *entries);
void sftp_entries_free(struct sftp_entries *entries);

/* What the answers hold; for those who send their requests themselves. */
int sftp_reply_status(const struct sftp_reply *reply);
int sftp_reply_handle(const struct sftp_reply *reply, struct sftp_handle *handle);
int sftp_reply_attrs(const struct sftp_reply *reply, struct sftp_attrs *attrs);
/* Appends what an answer to SFTP_READDIR holds; -ENODATA: that was all. */
int sftp_reply_entries(const struct sftp_reply *reply, struct sftp_entries *entries);
/* The bytes of an answer to SFTP_READ, where they stand; -ENODATA at the end of the file. */
int sftp_reply_data(const struct sftp_reply *reply, const uint8_t **data, size_t *size);

#endif

/* SPDX-License-Identifier: MIT */
/* What the operations of a mount share: the kernel's numbers, attributes, asking the server. */
#ifndef SFTP_FS_OPS_H
#define SFTP_FS_OPS_H

#define FUSE_USE_VERSION 314

#include <fuse_lowlevel.h>
#include <stdbool.h>

#include "modules/sftp/fs.h"

/* Connections tried for one operation that may be done twice. */
#define FS_TRIES 3
/* What a listing shows as the number of a file that is not known well. */
#define FS_INO_UNKNOWN 0xffffffffu

/*
 * r = expr, in which "client" is the server's; again on another connection when the first was
 * lost, if again is true. Waits.
 */
#define ON_SERVER(fs, again, r, expr)                                                              \
    do {                                                                                           \
        (r) = -ETIMEDOUT;                                                                          \
        for (int try_ = 0; try_ < FS_TRIES; try_++) {                                              \
            struct connection *connection_ = remote_get((fs)->remote);                             \
            struct sftp_client *client;                                                            \
                                                                                                   \
            if (connection_ == NULL)                                                               \
                break;                                                                             \
            client = connection_->client;                                                          \
            (r) = (expr);                                                                          \
            remote_put((fs)->remote, connection_);                                                 \
            if (!(again) || !remote_is_lost(r))                                                    \
                break;                                                                             \
        }                                                                                          \
    } while (0)

static inline struct node *fs_node(struct fs *fs, fuse_ino_t ino)
{
    return ino == FUSE_ROOT_ID ? &fs->nodes.root : (struct node *)(uintptr_t)ino;
}

static inline fuse_ino_t fs_ino(const struct fs *fs, const struct node *node)
{
    return node == &fs->nodes.root ? FUSE_ROOT_ID : (fuse_ino_t)(uintptr_t)node;
}

/* The errno, positive, that a program is told; 0 for 0. */
int fs_errno(int error);

/* With the nodes' lock. */
void fs_fill_stat(const struct fs *fs, const struct node *node, struct stat *st);
void fs_fill_entry(struct fs *fs, struct node *node, struct fuse_entry_param *entry);

/* The kernel forgets so many lookups. */
void fs_forget(struct fs *fs, struct node *node, uint64_t count);

/*
 * After something was made (r is 0): gives it the mode that was wanted where the server's own
 * mask has taken some of it away, also in attrs.
 */
void fs_mend_mode(struct fs *fs, const char *path, int r, mode_t mode, struct sftp_attrs *attrs);

void fs_add_name_ops(struct fuse_lowlevel_ops *ops);
/*
 * Given what the server tells of the node's path: whether that is another file than the one that
 * is open here to be read, which then has lost its name.
 */
bool fs_is_replaced(struct fs *fs, struct node *node, const char *path,
                    const struct sftp_attrs *attrs);

void fs_add_attr_ops(struct fuse_lowlevel_ops *ops);
void fs_add_data_ops(struct fuse_lowlevel_ops *ops);

#endif

/* SPDX-License-Identifier: MIT */
/* A mount's operations on files: opening, reading and writing. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/base/cleanup.h"
#include "lib/base/deadline.h"
#include "modules/sftp/fs-file.h"
#include "modules/sftp/fs-large.h"
#include "modules/sftp/fs-ops.h"

int fs_errno(int error)
{
    /* A program knows nothing of our connection. */
    return error == -ECONNRESET || error == -EBADMSG ? EIO : -error;
}

void fs_forget(struct fs *fs, struct node *node, uint64_t count)
{
    pthread_mutex_lock(&fs->nodes.lock);
    node->lookups -= count < node->lookups ? count : node->lookups;
    nodes_release(&fs->nodes, node);
    pthread_mutex_unlock(&fs->nodes.lock);
}

/* ---- Opening ---- */

static uint32_t open_flags(int flags)
{
    return (flags & O_ACCMODE) == O_RDONLY   ? SFTP_OPEN_READ
           : (flags & O_ACCMODE) == O_WRONLY ? SFTP_OPEN_WRITE
                                             : SFTP_OPEN_READ | SFTP_OPEN_WRITE;
}

/* Whether what is written is to be put at the end by the server. */
static bool is_appending(int flags)
{
    return (flags & O_APPEND) != 0 && (flags & O_ACCMODE) == O_WRONLY;
}

/*
 * Another program has changed what is open here already, or given its name to another file: which
 * of the two is told by the handle that there is.
 */
static void note_opened(struct fs *fs, struct node *node, const struct sftp_attrs *attrs)
{
    struct sftp_attrs now;
    struct file *file;
    bool is_doubtful;

    pthread_mutex_lock(&fs->nodes.lock);
    is_doubtful = node->files != NULL && !known_is(node, attrs, false);
    pthread_mutex_unlock(&fs->nodes.lock);
    file = is_doubtful ? file_find(fs, node, 0) : NULL;
    if (file == NULL)
        return;
    if (file_getattr(file, &now) == 0) {
        pthread_mutex_lock(&fs->nodes.lock);
        known_told(node, &now);
        pthread_mutex_unlock(&fs->nodes.lock);
    }
    file_put(file);
}

/* On one connection: the file, and attributes when they are wanted. */
static int open_once(struct fs *fs, struct node *node, const char *path, int flags,
                     bool wants_attrs, struct sftp_attrs *attrs, struct file **file)
{
    struct connection *connection = remote_get(fs->remote);
    uint32_t wire = open_flags(flags) | ((flags & O_TRUNC) != 0 ? SFTP_OPEN_TRUNCATE : 0) |
                    (is_appending(flags) ? SFTP_OPEN_APPEND : 0);
    const struct sftp_attrs cut = {.flags = SFTP_ATTR_SIZE};
    struct sftp_handle handle;
    int r = -ETIMEDOUT;

    if (connection == NULL)
        return r;
    pthread_mutex_lock(&fs->nodes.lock);
    if ((flags & O_TRUNC) != 0)
        known_may_change(node, &cut);
    pthread_mutex_unlock(&fs->nodes.lock);
    r = sftp_open(connection->client, path, wire, 0, &handle);
    if (r == 0 && wants_attrs)
        r = sftp_fstat(connection->client, &handle, attrs);
    if (r == 0 && wants_attrs && (flags & O_TRUNC) == 0)
        note_opened(fs, node, attrs);
    if (r == 0) {
        pthread_mutex_lock(&fs->nodes.lock);
        if (wants_attrs)
            node_set_attrs(node, attrs, deadline_now() + fs->options.cache_ms);
        if ((flags & O_TRUNC) != 0)
            known_changed(node, &cut);
        pthread_mutex_unlock(&fs->nodes.lock);
        *file = file_new(fs, node, open_flags(flags), connection, &handle);
        if (*file != NULL)
            return 0;
        r = -ENOMEM;
    }
    remote_put(fs->remote, connection);
    return r;
}

/* By what was read of it before. NULL: it has to be opened. */
static struct file *open_ahead(struct fs *fs, struct node *node)
{
    size_t size;
    uint8_t *whole = fs_ahead_take(fs, node, &size);
    struct file *file = whole != NULL ? file_new_whole(fs, node, whole, size) : NULL;

    if (file == NULL)
        free(whole);
    fs_ahead_note(fs, node);
    return file;
}

static void fs_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct fs *fs = fuse_req_userdata(req);
    struct node *node = fs_node(fs, ino);
    cleanup_free char *path = nodes_path(&fs->nodes, fs->prefix, node, NULL);
    struct sftp_attrs before, attrs = {0};
    struct file *file = NULL;
    bool is_fresh;
    int r = 0;

    if (path == NULL) {
        (void)fuse_reply_err(req, errno);
        return;
    }
    pthread_mutex_lock(&fs->nodes.lock);
    before = node->attrs;
    is_fresh = deadline_now() < node->attrs_until_ms && (fi->flags & O_TRUNC) == 0 &&
               !is_appending(fi->flags);
    pthread_mutex_unlock(&fs->nodes.lock);
    /* The size comes behind what is being written, and that must not come behind a cut. */
    if (!is_fresh)
        files_settle(fs, node);
    if (is_fresh && (fi->flags & O_ACCMODE) == O_RDONLY)
        file = open_ahead(fs, node);
    for (int i = 0; file == NULL && i < FS_TRIES; i++) {
        r = open_once(fs, node, path, fi->flags, !is_fresh, &attrs, &file);
        if (!remote_is_lost(r))
            break;
    }
    if (r < 0) {
        (void)fuse_reply_err(req, fs_errno(r));
        return;
    }
    if (is_appending(fi->flags))
        file_set_appending(file, attrs.size);
    if ((fi->flags & O_TRUNC) != 0)
        atomic_fetch_add(&node->writes, 1);
    fi->fh = (uint64_t)(uintptr_t)file;
    /* Closing one that is only read has nothing to tell. */
    fi->noflush = (file->flags & SFTP_OPEN_WRITE) == 0;
    /* What the kernel has of it is good if it did not change since. */
    fi->keep_cache = is_fresh || (before.size == attrs.size && before.mtime == attrs.mtime);
    if (fuse_reply_open(req, fi) != 0)
        file_close(file);
}

static void fs_create(fuse_req_t req, fuse_ino_t ino, const char *name, mode_t mode,
                      struct fuse_file_info *fi)
{
    struct fs *fs = fuse_req_userdata(req);
    struct node *parent = fs_node(fs, ino), *node = NULL;
    cleanup_free char *path = nodes_path(&fs->nodes, fs->prefix, parent, name);
    uint32_t flags = open_flags(fi->flags);
    struct connection *connection;
    struct fuse_entry_param entry;
    struct sftp_handle handle;
    struct sftp_attrs attrs = {0};
    struct file *file = NULL;
    uint32_t mode_there;
    int r;

    if (path == NULL) {
        (void)fuse_reply_err(req, errno);
        return;
    }
    connection = remote_get(fs->remote);
    if (connection == NULL) {
        (void)fuse_reply_err(req, ETIMEDOUT);
        return;
    }
    r = sftp_create(connection->client, path,
                    flags | ((fi->flags & O_EXCL) != 0 ? SFTP_OPEN_EXCLUSIVE : 0) |
                        ((fi->flags & O_TRUNC) != 0 ? SFTP_OPEN_TRUNCATE : 0) |
                        (is_appending(fi->flags) ? SFTP_OPEN_APPEND : 0),
                    mode, &handle, &attrs);
    if (r == 0 && attrs.flags == 0)
        r = sftp_fstat(connection->client, &handle, &attrs);
    mode_there = attrs.mode;
    if (attrs.size == 0 && (attrs.mode & 07777) != (mode & 07777))
        fs_mend_mode(fs, path, r, mode, &attrs);
    if (r == 0) {
        pthread_mutex_lock(&fs->nodes.lock);
        node = nodes_find(&fs->nodes, parent, name);
        if (node != NULL && !S_ISREG(node->attrs.mode)) {
            nodes_unname(&fs->nodes, node);
            nodes_release(&fs->nodes, node);
        }
        node = nodes_get(&fs->nodes, parent, name);
        if (node != NULL) {
            node_set_attrs(node, &attrs, deadline_now() + fs->options.cache_ms);
            node->is_mode_ours = attrs.mode != mode_there;
            if ((fi->flags & O_EXCL) != 0)
                node->ours_until_ms = node->attrs_until_ms;
            node->lookups++;
            fs_fill_entry(fs, node, &entry);
        }
        fs_dir_add(parent, name, &attrs);
        parent->attrs_until_ms = 0;
        pthread_mutex_unlock(&fs->nodes.lock);
        if (node != NULL)
            file = file_new(fs, node, flags, connection, &handle);
        if (node != NULL && file == NULL)
            fs_forget(fs, node, 1);
        if (file == NULL)
            r = -ENOMEM;
    }
    if (r < 0) {
        remote_put(fs->remote, connection);
        (void)fuse_reply_err(req, fs_errno(r));
        return;
    }
    if (is_appending(fi->flags))
        file_set_appending(file, attrs.size);
    fi->fh = (uint64_t)(uintptr_t)file;
    if (fuse_reply_create(req, &entry, fi) != 0) {
        file_close(file);
        fs_forget(fs, node, 1);
    }
}

/* ---- Reading and writing ---- */

/* The protocol has no word for a full file system: whether that is the reason of an error. */
static int written_errno(struct fs *fs, struct node *node, int error)
{
    cleanup_free char *path = error == -EIO ? nodes_path(&fs->nodes, fs->prefix, node, NULL) : NULL;
    struct statvfs vfs;
    int r;

    if (path == NULL)
        return fs_errno(error);
    ON_SERVER(fs, true, r, sftp_statvfs(client, path, &vfs));
    return fs_errno(r == 0 && vfs.f_bavail == 0 ? -ENOSPC : error);
}

static void reply_read(void *opaque, ssize_t n, const void *data)
{
    if (n < 0)
        (void)fuse_reply_err(opaque, fs_errno((int)n));
    else
        (void)fuse_reply_buf(opaque, data, (size_t)n);
}

static void fs_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
                    struct fuse_file_info *fi)
{
    struct fs *fs = fuse_req_userdata(req);
    struct node *node = fs_node(fs, ino);
    struct file *file = (struct file *)(uintptr_t)fi->fh;
    cleanup_free char *buf = NULL;

    /* What was written through other handles comes first. */
    files_settle(fs, node);
    if (file_read_alone(file, (uint64_t)off, size, reply_read, req))
        return;
    buf = malloc(size);
    reply_read(req, buf != NULL ? file_read(file, (uint64_t)off, buf, size) : -ENOMEM, buf);
}

static void fs_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size, off_t off,
                     struct fuse_file_info *fi)
{
    struct fs *fs = fuse_req_userdata(req);
    struct node *node = fs_node(fs, ino);
    struct file *file = (struct file *)(uintptr_t)fi->fh;
    int r;

    /* A page of what is mapped, which comes by any handle, has a place whatever the program says.
     */
    file_prepare_write(file, (uint64_t)off, size, fi->writepage || (fi->flags & O_APPEND) == 0);
    pthread_mutex_lock(&fs->nodes.lock);
    known_may_grow(node, (uint64_t)off + size);
    pthread_mutex_unlock(&fs->nodes.lock);
    r = large_write(file, (uint64_t)off, buf, size);
    if (r < 0) {
        (void)fuse_reply_err(req, written_errno(fs, node, r));
        return;
    }
    pthread_mutex_lock(&fs->nodes.lock);
    if ((uint64_t)off + size > node->attrs.size)
        node->attrs.size = (uint64_t)off + size;
    node->attrs.mtime = (uint32_t)time(NULL);
    node->is_time_ours = true;
    /* What the server would say now is older than what we know, unless it found the place. */
    node->attrs_until_ms = file->append.is_wanted ? 0 : deadline_now() + fs->options.cache_ms;
    pthread_mutex_unlock(&fs->nodes.lock);
    (void)fuse_reply_write(req, size);
}

/* The listing knows it as it was; the server's own time for it is asked for when wanted. */
static void note_written(struct fs *fs, struct node *node)
{
    pthread_mutex_lock(&fs->nodes.lock);
    if (node->parent != NULL)
        fs_dir_add(node->parent, node->name,
                   deadline_now() < node->attrs_until_ms ? &node->attrs : NULL);
    pthread_mutex_unlock(&fs->nodes.lock);
}

/* What we believe was written is not all there. */
static void forget_attrs(struct fs *fs, struct node *node)
{
    pthread_mutex_lock(&fs->nodes.lock);
    node->attrs_until_ms = 0;
    pthread_mutex_unlock(&fs->nodes.lock);
}

static void fs_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct fs *fs = fuse_req_userdata(req);
    struct file *file = (struct file *)(uintptr_t)fi->fh;
    int r = (file->flags & SFTP_OPEN_WRITE) != 0 ? file_flush(file) : 0;

    if (r < 0)
        forget_attrs(fs, fs_node(fs, ino));
    if ((file->flags & SFTP_OPEN_WRITE) != 0)
        note_written(fs, fs_node(fs, ino));
    (void)fuse_reply_err(req, written_errno(fs, fs_node(fs, ino), r));
}

static void fs_fsync(fuse_req_t req, fuse_ino_t ino, int is_data_only, struct fuse_file_info *fi)
{
    struct fs *fs = fuse_req_userdata(req);
    int r;

    (void)is_data_only;
    /* What was written through other handles is of the file, too. */
    files_settle(fs, fs_node(fs, ino));
    r = file_fsync((struct file *)(uintptr_t)fi->fh);
    if (r < 0)
        forget_attrs(fs, fs_node(fs, ino));
    (void)fuse_reply_err(req, written_errno(fs, fs_node(fs, ino), r));
}

static void fs_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct file *file = (struct file *)(uintptr_t)fi->fh;

    (void)ino;
    /* What a process that was killed had written still goes to the server. */
    if ((file->flags & SFTP_OPEN_WRITE) != 0)
        (void)file_flush(file);
    file_close(file);
    (void)fuse_reply_err(req, 0);
}

void fs_add_data_ops(struct fuse_lowlevel_ops *ops)
{
    ops->open = fs_open;
    ops->create = fs_create;
    ops->read = fs_read;
    ops->write = fs_write;
    ops->flush = fs_flush;
    ops->fsync = fs_fsync;
    ops->release = fs_release;
}

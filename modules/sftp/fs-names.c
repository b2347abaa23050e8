/* SPDX-License-Identifier: MIT */
/* A mount's operations on names: looking up, listing, making, renaming and removing. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/cleanup.h"
#include "lib/base/deadline.h"
#include "modules/sftp/fs-file.h"
#include "modules/sftp/fs-ops.h"

/* Directory entries of one answer, in bytes; the kernel asks for about as many. */
struct dir {
    struct listing *listing;
};

/* With the nodes' lock: the kernel is told of the node by an entry. */
void fs_fill_entry(struct fs *fs, struct node *node, struct fuse_entry_param *entry)
{
    double left = (double)(node->attrs_until_ms - deadline_now()) / 1000.0;

    *entry = (struct fuse_entry_param){.ino = fs_ino(fs, node)};
    fs_fill_stat(fs, node, &entry->attr);
    entry->attr_timeout = entry->entry_timeout = left > 0 ? left : 0;
}

/* With the nodes' lock: the child, with what is known of it now. NULL: no memory. */
static struct node *take_child(struct fs *fs, struct node *parent, const char *name,
                               const struct sftp_attrs *attrs, int64_t until_ms)
{
    struct node *node = nodes_find(&fs->nodes, parent, name);

    /* Another kind of file under the same name is another file. */
    if (node != NULL && node->attrs.mode != 0 &&
        (node->attrs.mode & S_IFMT) != (attrs->mode & S_IFMT)) {
        nodes_unname(&fs->nodes, node);
        nodes_release(&fs->nodes, node);
        node = NULL;
    }
    if (node == NULL)
        node = nodes_get(&fs->nodes, parent, name);
    /* Of one that is being written we know more than the server. */
    if (node != NULL && (node->files == NULL || node->attrs.mode == 0))
        node_set_attrs(node, attrs, until_ms);
    return node;
}

/* Answers with a name's new or present file, which the kernel counts from then on. */
static void reply_entry(fuse_req_t req, struct node *parent, const char *name,
                        const struct sftp_attrs *attrs, int64_t until_ms)
{
    struct fs *fs = fuse_req_userdata(req);
    struct fuse_entry_param entry;
    struct node *node;

    pthread_mutex_lock(&fs->nodes.lock);
    node = take_child(fs, parent, name, attrs, until_ms);
    if (node != NULL) {
        node->lookups++;
        fs_fill_entry(fs, node, &entry);
    }
    pthread_mutex_unlock(&fs->nodes.lock);
    if (node == NULL) {
        (void)fuse_reply_err(req, ENOMEM);
    } else if (fuse_reply_entry(req, &entry) != 0) {
        fs_forget(fs, node, 1);
    }
}

/* The server was asked for the name of what may be open here, to be read. */
static void note_asked(struct fs *fs, const struct node *parent, const char *name, const char *path,
                       const struct sftp_attrs *attrs, int64_t until_ms)
{
    struct node *node;
    bool is_replaced;

    pthread_mutex_lock(&fs->nodes.lock);
    node = nodes_find(&fs->nodes, parent, name);
    if (node != NULL && node->files == NULL)
        node = NULL;
    if (node != NULL)
        node->users++;
    pthread_mutex_unlock(&fs->nodes.lock);
    if (node == NULL)
        return;
    is_replaced = fs_is_replaced(fs, node, path, attrs);
    pthread_mutex_lock(&fs->nodes.lock);
    if (!is_replaced && !files_has_writer(node)) {
        node_set_attrs(node, attrs, until_ms);
        known_told(node, attrs);
    }
    node->users--;
    nodes_release(&fs->nodes, node);
    pthread_mutex_unlock(&fs->nodes.lock);
}

static void fs_lookup(fuse_req_t req, fuse_ino_t ino, const char *name)
{
    struct fs *fs = fuse_req_userdata(req);
    struct node *parent = fs_node(fs, ino), *node;
    struct sftp_attrs attrs = {0};
    cleanup_free char *path = NULL;
    int64_t until_ms = 0;
    int r;

    if (strlen(name) > NAME_MAX) {
        (void)fuse_reply_err(req, ENAMETOOLONG);
        return;
    }
    pthread_mutex_lock(&fs->nodes.lock);
    node = nodes_find(&fs->nodes, parent, name);
    if (node != NULL && deadline_now() < node->attrs_until_ms) {
        r = 1;
        attrs = node->attrs;
        until_ms = node->attrs_until_ms;
    } else {
        r = fs_dir_find(fs, parent, name, &attrs, &until_ms);
        if (r == 1 && attrs.flags == 0)
            r = -EAGAIN;
    }
    pthread_mutex_unlock(&fs->nodes.lock);
    fs_count_asked(fs, r >= 0);
    if (r == 0) {
        /* No such name, which the kernel may believe as long as we do. */
        struct fuse_entry_param none = {.entry_timeout =
                                            (double)(until_ms - deadline_now()) / 1000.0};

        (void)fuse_reply_entry(req, &none);
        return;
    }
    if (r < 0) {
        fs_dir_missed(fs, parent);
        path = nodes_path(&fs->nodes, fs->prefix, parent, name);
        if (path == NULL) {
            (void)fuse_reply_err(req, errno);
            return;
        }
        ON_SERVER(fs, true, r, sftp_lstat(client, path, &attrs));
        until_ms = deadline_now() + fs->options.cache_ms;
        if (r < 0) {
            (void)fuse_reply_err(req, fs_errno(r));
            return;
        }
        note_asked(fs, parent, name, path, &attrs, until_ms);
    }
    reply_entry(req, parent, name, &attrs, until_ms);
}

static void fs_op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t count)
{
    struct fs *fs = fuse_req_userdata(req);

    fs_forget(fs, fs_node(fs, ino), count);
    fuse_reply_none(req);
}

static void fs_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
    struct fs *fs = fuse_req_userdata(req);

    for (size_t i = 0; i < count; i++)
        fs_forget(fs, fs_node(fs, forgets[i].ino), forgets[i].nlookup);
    fuse_reply_none(req);
}

static void fs_readlink(fuse_req_t req, fuse_ino_t ino)
{
    struct fs *fs = fuse_req_userdata(req);
    cleanup_free char *path = nodes_path(&fs->nodes, fs->prefix, fs_node(fs, ino), NULL);
    cleanup_free char *target = NULL;
    int r;

    if (path == NULL) {
        (void)fuse_reply_err(req, errno);
        return;
    }
    ON_SERVER(fs, true, r, sftp_readlink(client, path, &target));
    if (r < 0)
        (void)fuse_reply_err(req, fs_errno(r));
    else
        (void)fuse_reply_readlink(req, target);
}

/* ---- Listing ---- */

static void fs_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct fs *fs = fuse_req_userdata(req);
    struct listing *listing = NULL;
    bool was_there = false;
    int r = 0;

    for (int i = 0; i < FS_TRIES; i++) {
        r = fs_dir_open(fs, fs_node(fs, ino), &listing, &was_there);
        if (!remote_is_lost(r))
            break;
    }
    if (r < 0) {
        (void)fuse_reply_err(req, fs_errno(r));
        return;
    }
    fs_count_asked(fs, was_there);
    fi->fh = (uint64_t)(uintptr_t)listing;
    fi->cache_readdir = 1;
    fi->keep_cache = was_there;
    if (fuse_reply_open(req, fi) != 0)
        fs_dir_close(fs, listing);
}

/* One entry into buf: its size, or 0 when it does not fit. With the nodes' lock. */
static size_t add_entry(fuse_req_t req, struct node *parent, const struct listing *listing,
                        size_t index, char *buf, size_t size)
{
    struct fs *fs = fuse_req_userdata(req);
    const struct sftp_entry *from = &listing->entries.entry[index];
    struct fuse_entry_param entry = {.attr.st_ino = FS_INO_UNKNOWN,
                                     .attr.st_mode = from->attrs.mode};
    struct node *node = NULL;
    size_t used;

    if (from->attrs.flags != 0 && deadline_now() < listing->until_ms) {
        node = take_child(fs, parent, from->name, &from->attrs, listing->until_ms);
        if (node != NULL)
            fs_fill_entry(fs, node, &entry);
    }
    used = fuse_add_direntry_plus(req, buf, size, from->name, &entry, (off_t)index + 3);
    if (used > size)
        used = 0;
    /* Only what the kernel gets, it counts. */
    if (node != NULL && used > 0)
        node->lookups++;
    else if (node != NULL)
        nodes_release(&fs->nodes, node);
    return used;
}

static size_t add_dot(fuse_req_t req, const char *name, off_t next, char *buf, size_t size)
{
    const struct fuse_entry_param entry = {.attr.st_ino = FS_INO_UNKNOWN, .attr.st_mode = S_IFDIR};
    size_t used = fuse_add_direntry_plus(req, buf, size, name, &entry, next);

    return used > size ? 0 : used;
}

static void fs_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
                           struct fuse_file_info *fi)
{
    struct fs *fs = fuse_req_userdata(req);
    struct node *parent = fs_node(fs, ino);
    const struct listing *listing = (struct listing *)(uintptr_t)fi->fh;
    cleanup_free char *buf = malloc(size);
    size_t used = 0;

    if (buf == NULL) {
        (void)fuse_reply_err(req, ENOMEM);
        return;
    }
    pthread_mutex_lock(&fs->nodes.lock);
    for (size_t at = off < 0 ? 0 : (size_t)off; at < listing->entries.count + 2; at++) {
        size_t more = at == 0   ? add_dot(req, ".", 1, buf + used, size - used)
                      : at == 1 ? add_dot(req, "..", 2, buf + used, size - used)
                                : add_entry(req, parent, listing, at - 2, buf + used, size - used);

        if (more == 0)
            break;
        used += more;
    }
    pthread_mutex_unlock(&fs->nodes.lock);
    (void)fuse_reply_buf(req, buf, used);
}

static void fs_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    (void)ino;
    fs_dir_close(fuse_req_userdata(req), (struct listing *)(uintptr_t)fi->fh);
    (void)fuse_reply_err(req, 0);
}

/*
 * The protocol has no word for it: whether two directories are of different file systems there,
 * which neither rename nor link can cross.
 */
static bool is_across(struct fs *fs, const struct node *from, const struct node *to)
{
    cleanup_free char *one = nodes_path(&fs->nodes, fs->prefix, from, NULL);
    cleanup_free char *two = nodes_path(&fs->nodes, fs->prefix, to, NULL);
    struct statvfs here, there;
    int r;

    if (from == to || one == NULL || two == NULL)
        return false;
    ON_SERVER(fs, true, r, sftp_statvfs(client, one, &here));
    if (r == 0)
        ON_SERVER(fs, true, r, sftp_statvfs(client, two, &there));
    return r == 0 && here.f_fsid != there.f_fsid;
}

/* ---- Making ---- */

/* What a name has become is known: the listing and the kernel are told. */
static void made(fuse_req_t req, struct node *parent, const char *name, int r,
                 const struct sftp_attrs *attrs, bool is_empty_dir)
{
    struct fs *fs = fuse_req_userdata(req);
    struct node *node;

    if (r < 0) {
        (void)fuse_reply_err(req, fs_errno(r));
        return;
    }
    pthread_mutex_lock(&fs->nodes.lock);
    fs_dir_add(parent, name, attrs->flags != 0 ? attrs : NULL);
    parent->attrs_until_ms = 0;
    if (is_empty_dir && attrs->flags != 0) {
        node = take_child(fs, parent, name, attrs, deadline_now() + fs->options.cache_ms);
        if (node != NULL) {
            fs_dir_set_empty(fs, node);
            node->ours_until_ms = node->attrs_until_ms;
            nodes_release(&fs->nodes, node);
        }
    }
    pthread_mutex_unlock(&fs->nodes.lock);
    if (attrs->flags == 0)
        (void)fuse_reply_err(req, EIO); /* made, and gone again at once */
    else
        reply_entry(req, parent, name, attrs, deadline_now() + fs->options.cache_ms);
}

static void fs_mkdir(fuse_req_t req, fuse_ino_t ino, const char *name, mode_t mode)
{
    struct fs *fs = fuse_req_userdata(req);
    struct node *parent = fs_node(fs, ino);
    cleanup_free char *path = nodes_path(&fs->nodes, fs->prefix, parent, name);
    struct sftp_attrs attrs = {0};
    int r;

    if (path == NULL) {
        (void)fuse_reply_err(req, errno);
        return;
    }
    ON_SERVER(fs, false, r, sftp_mkdir(client, path, mode, &attrs));
    fs_mend_mode(fs, path, r, mode, &attrs);
    made(req, parent, name, r, &attrs, true);
}

static void fs_symlink(fuse_req_t req, const char *target, fuse_ino_t ino, const char *name)
{
    struct fs *fs = fuse_req_userdata(req);
    struct node *parent = fs_node(fs, ino);
    cleanup_free char *path = nodes_path(&fs->nodes, fs->prefix, parent, name);
    struct sftp_attrs attrs = {0};
    int r;

    if (path == NULL) {
        (void)fuse_reply_err(req, errno);
        return;
    }
    ON_SERVER(fs, false, r, sftp_symlink(client, target, path, &attrs));
    made(req, parent, name, r, &attrs, false);
}

static void fs_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t new_parent, const char *name)
{
    struct fs *fs = fuse_req_userdata(req);
    struct node *parent = fs_node(fs, new_parent);
    cleanup_free char *path = nodes_path(&fs->nodes, fs->prefix, fs_node(fs, ino), NULL);
    cleanup_free char *new_path = nodes_path(&fs->nodes, fs->prefix, parent, name);
    struct sftp_attrs attrs = {0};
    int r;

    if (path == NULL || new_path == NULL) {
        (void)fuse_reply_err(req, errno);
        return;
    }
    ON_SERVER(fs, false, r, sftp_link(client, path, new_path, &attrs));
    if (r == -EIO && is_across(fs, fs_node(fs, ino), parent))
        r = -EXDEV;
    made(req, parent, name, r, &attrs, false);
}

static int make_file(struct sftp_client *client, const char *path, mode_t mode,
                     struct sftp_attrs *attrs)
{
    struct sftp_handle handle;
    int r = sftp_create(client, path, SFTP_OPEN_WRITE | SFTP_OPEN_EXCLUSIVE, mode, &handle, attrs);

    return r < 0 ? r : sftp_close(client, &handle);
}

static void fs_mknod(fuse_req_t req, fuse_ino_t ino, const char *name, mode_t mode, dev_t dev)
{
    struct fs *fs = fuse_req_userdata(req);
    struct node *parent = fs_node(fs, ino);
    cleanup_free char *path = nodes_path(&fs->nodes, fs->prefix, parent, name);
    struct sftp_attrs attrs = {0};
    int r;

    (void)dev;
    if (path == NULL || !S_ISREG(mode)) {
        /* The protocol makes plain files, directories and links. */
        (void)fuse_reply_err(req, path == NULL ? errno : EPERM);
        return;
    }
    ON_SERVER(fs, false, r, make_file(client, path, mode, &attrs));
    fs_mend_mode(fs, path, r, mode, &attrs);
    made(req, parent, name, r, &attrs, false);
}

/* ---- Removing and renaming ---- */

static void remove_name(fuse_req_t req, fuse_ino_t ino, const char *name, bool is_dir)
{
    struct fs *fs = fuse_req_userdata(req);
    struct node *parent = fs_node(fs, ino), *node;
    cleanup_free char *path = nodes_path(&fs->nodes, fs->prefix, parent, name);
    int r;

    if (path == NULL) {
        (void)fuse_reply_err(req, errno);
        return;
    }
    ON_SERVER(fs, false, r, is_dir ? sftp_rmdir(client, path) : sftp_remove(client, path));
    /* The protocol has no word for the reason that is likely. */
    if (r == -EIO && is_dir)
        r = -ENOTEMPTY;
    pthread_mutex_lock(&fs->nodes.lock);
    if (r == 0 || r == -ENOENT) {
        fs_dir_remove(parent, name);
        node = nodes_find(&fs->nodes, parent, name);
        if (node != NULL) {
            fs_dir_forget(node);
            nodes_unname(&fs->nodes, node);
            nodes_release(&fs->nodes, node);
        }
    } else {
        fs_dir_forget(parent); /* what was believed of it may be wrong */
    }
    parent->attrs_until_ms = 0;
    pthread_mutex_unlock(&fs->nodes.lock);
    (void)fuse_reply_err(req, fs_errno(r));
}

static void fs_unlink(fuse_req_t req, fuse_ino_t ino, const char *name)
{
    remove_name(req, ino, name, false);
}

static void fs_rmdir(fuse_req_t req, fuse_ino_t ino, const char *name)
{
    remove_name(req, ino, name, true);
}

/* With the nodes' lock: the names change here as they have there. */
static void move_name(struct fs *fs, struct node *from, const char *name, struct node *to,
                      const char *new_name)
{
    struct node *node = nodes_find(&fs->nodes, from, name);
    const struct sftp_attrs *attrs =
        node != NULL && deadline_now() < node->attrs_until_ms ? &node->attrs : NULL;

    fs_dir_add(to, new_name, attrs);
    fs_dir_remove(from, name);
    if (node == NULL) {
        node = nodes_find(&fs->nodes, to, new_name);
        if (node != NULL) {
            nodes_unname(&fs->nodes, node);
            nodes_release(&fs->nodes, node);
        }
    } else if (nodes_rename(&fs->nodes, node, to, new_name) < 0) {
        nodes_unname(&fs->nodes, node);
    }
    from->attrs_until_ms = to->attrs_until_ms = 0;
}

static int rename_once(struct fs *fs, const char *path, const char *new_path, bool is_new)
{
    int r;

    if (is_new)
        ON_SERVER(fs, false, r, sftp_rename_new(client, path, new_path));
    else
        ON_SERVER(fs, false, r, sftp_rename(client, path, new_path));
    return r;
}

/*
 * When the connection is lost meanwhile, the names there tell whether it was done. If not it is
 * done again: a server that comes to the first one later finds nothing to rename.
 */
static int rename_there(struct fs *fs, const char *path, const char *new_path, bool is_new)
{
    int r = rename_once(fs, path, new_path, is_new);

    for (int i = 1; i < FS_TRIES && remote_is_lost(r); i++) {
        struct sftp_attrs attrs;
        int there;

        ON_SERVER(fs, true, there, sftp_lstat(client, path, &attrs));
        if (there == -ENOENT) {
            ON_SERVER(fs, true, there, sftp_lstat(client, new_path, &attrs));
            return there == 0 ? 0 : r;
        }
        if (there < 0)
            return there;
        r = rename_once(fs, path, new_path, is_new);
    }
    return r;
}

static void fs_rename(fuse_req_t req, fuse_ino_t ino, const char *name, fuse_ino_t new_ino,
                      const char *new_name, unsigned int flags)
{
    struct fs *fs = fuse_req_userdata(req);
    struct node *from = fs_node(fs, ino), *to = fs_node(fs, new_ino);
    cleanup_free char *path = nodes_path(&fs->nodes, fs->prefix, from, name);
    cleanup_free char *new_path = nodes_path(&fs->nodes, fs->prefix, to, new_name);
    struct sftp_attrs attrs;
    int r;

    if ((flags & ~(unsigned int)RENAME_NOREPLACE) != 0 || path == NULL || new_path == NULL) {
        (void)fuse_reply_err(req, path != NULL && new_path != NULL ? EINVAL : errno);
        return;
    }
    nodes_begin_move(&fs->nodes);
    r = rename_there(fs, path, new_path, flags != 0);
    if (r == -EIO && is_across(fs, from, to))
        r = -EXDEV;
    if (r == -EIO && flags == 0) {
        int there;

        ON_SERVER(fs, true, there, sftp_lstat(client, new_path, &attrs));
        if (there == 0 && S_ISDIR(attrs.mode))
            r = -ENOTEMPTY; /* the likely reason */
    }
    pthread_mutex_lock(&fs->nodes.lock);
    if (r == 0) {
        move_name(fs, from, name, to, new_name);
    } else {
        fs_dir_forget(from);
        fs_dir_forget(to);
    }
    pthread_mutex_unlock(&fs->nodes.lock);
    nodes_end_move(&fs->nodes);
    (void)fuse_reply_err(req, fs_errno(r));
}

void fs_add_name_ops(struct fuse_lowlevel_ops *ops)
{
    ops->lookup = fs_lookup;
    ops->forget = fs_op_forget;
    ops->forget_multi = fs_forget_multi;
    ops->readlink = fs_readlink;
    ops->opendir = fs_opendir;
    ops->readdirplus = fs_readdirplus;
    ops->releasedir = fs_releasedir;
    ops->mkdir = fs_mkdir;
    ops->symlink = fs_symlink;
    ops->link = fs_link;
    ops->mknod = fs_mknod;
    ops->unlink = fs_unlink;
    ops->rmdir = fs_rmdir;
    ops->rename = fs_rename;
}

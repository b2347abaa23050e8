/* SPDX-License-Identifier: MIT */
/* A mount's operations on attributes. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/base/cleanup.h"
#include "lib/base/deadline.h"
#include "modules/sftp/fs-file.h"
#include "modules/sftp/fs-large.h"
#include "modules/sftp/fs-ops.h"

void fs_fill_stat(const struct fs *fs, const struct node *node, struct stat *st)
{
    sftp_attrs_to_stat(&node->attrs, st);
    st->st_ino = fs_ino(fs, node);
    if (st->st_uid == fs->remote_uid)
        st->st_uid = fs->uid;
    if (st->st_gid == fs->remote_gid)
        st->st_gid = fs->gid;
}

void fs_mend_mode(struct fs *fs, const char *path, int r, mode_t mode, struct sftp_attrs *attrs)
{
    const struct sftp_attrs wanted = {.flags = SFTP_ATTR_MODE, .mode = mode & 07777};

    if (r < 0 || attrs->flags == 0 || (attrs->mode & 07777) == wanted.mode)
        return;
    ON_SERVER(fs, true, r, sftp_setstat(client, path, &wanted));
    if (r == 0)
        attrs->mode = (attrs->mode & S_IFMT) | wanted.mode;
}

/* Whether both may be of one file that did not change in between. */
static bool is_alike(const struct sftp_attrs *a, const struct sftp_attrs *b)
{
    return a->size == b->size && a->mtime == b->mtime && a->mode == b->mode && a->uid == b->uid &&
           a->gid == b->gid;
}

bool fs_is_replaced(struct fs *fs, struct node *node, const char *path,
                    const struct sftp_attrs *attrs)
{
    struct sftp_attrs by_handle, again;
    struct file *file;
    bool is_doubtful;
    int r;

    pthread_mutex_lock(&fs->nodes.lock);
    is_doubtful = node->files != NULL && !files_has_writer(node) && !is_alike(&node->attrs, attrs);
    pthread_mutex_unlock(&fs->nodes.lock);
    file = is_doubtful ? file_find(fs, node, 0) : NULL;
    if (file == NULL)
        return false;
    r = file_getattr(file, &by_handle);
    file_put(file);
    if (r == -ESTALE || (r == 0 && !is_alike(&by_handle, attrs))) {
        /* One file that grows just now shows three states, and another one two. */
        ON_SERVER(fs, true, r, sftp_lstat(client, path, &again));
        is_doubtful = r == 0 && is_alike(&again, attrs);
    } else {
        is_doubtful = false;
    }
    if (is_doubtful) {
        pthread_mutex_lock(&fs->nodes.lock);
        nodes_unname(&fs->nodes, node);
        pthread_mutex_unlock(&fs->nodes.lock);
    }
    return is_doubtful;
}

/* By a handle; of what is not even open but was all read, what is known of it is good enough. */
static int ask_by_handle(struct fs *fs, struct node *node, int error, struct sftp_attrs *attrs)
{
    struct file *file = file_find(fs, node, 0);

    if (file != NULL) {
        error = file_getattr(file, attrs);
        file_put(file);
        return error;
    }
    pthread_mutex_lock(&fs->nodes.lock);
    if (node->files != NULL) {
        *attrs = node->attrs;
        error = 0;
    }
    pthread_mutex_unlock(&fs->nodes.lock);
    return error;
}

/*
 * Asks the server: by the handle of who writes to it, else by its name, which may lead to another
 * file by now or to none.
 */
static int ask_attrs(struct fs *fs, struct node *node, struct sftp_attrs *attrs)
{
    struct file *writer = file_find(fs, node, SFTP_OPEN_WRITE);
    cleanup_free char *path = NULL;
    int r;

    if (writer != NULL) {
        r = file_getattr(writer, attrs);
        file_put(writer);
        return r;
    }
    path = nodes_path(&fs->nodes, fs->prefix, node, NULL);
    if (path == NULL)
        return ask_by_handle(fs, node, -errno, attrs);
    ON_SERVER(fs, true, r,
              node == &fs->nodes.root ? sftp_stat(client, path, attrs)
                                      : sftp_lstat(client, path, attrs));
    if (r == -ENOENT || (r == 0 && fs_is_replaced(fs, node, path, attrs)))
        r = ask_by_handle(fs, node, -ENOENT, attrs);
    return r;
}

static void reply_attr(fuse_req_t req, struct node *node)
{
    struct fs *fs = fuse_req_userdata(req);
    struct stat st;
    double left;

    pthread_mutex_lock(&fs->nodes.lock);
    fs_fill_stat(fs, node, &st);
    left = (double)(node->attrs_until_ms - deadline_now()) / 1000.0;
    pthread_mutex_unlock(&fs->nodes.lock);
    (void)fuse_reply_attr(req, &st, left > 0 ? left : 0);
}

static void fs_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct fs *fs = fuse_req_userdata(req);
    struct node *node = fs_node(fs, ino);
    struct sftp_attrs attrs = {0};
    bool is_fresh;
    int r = 0;

    pthread_mutex_lock(&fs->nodes.lock);
    is_fresh = deadline_now() < node->attrs_until_ms;
    pthread_mutex_unlock(&fs->nodes.lock);
    fs_count_asked(fs, is_fresh);
    if (!is_fresh) {
        (void)fi;
        files_settle(fs, node);
        r = ask_attrs(fs, node, &attrs);
        pthread_mutex_lock(&fs->nodes.lock);
        if (r == 0) {
            node_set_attrs(node, &attrs, deadline_now() + fs->options.cache_ms);
            known_told(node, &attrs);
        }
        pthread_mutex_unlock(&fs->nodes.lock);
    }
    if (r < 0)
        (void)fuse_reply_err(req, fs_errno(r));
    else
        reply_attr(req, node);
}

/*
 * What the modes surely forbid; of groups nothing is known, so the rest is left to the server,
 * which judges every use.
 */
static bool may_access(const struct fs *fs, const struct sftp_attrs *attrs, uint32_t mask)
{
    const uint32_t anyone = (attrs->mode | attrs->mode >> 3 | attrs->mode >> 6) & 7;

    if (fs->remote_uid == 0) /* may all but run what nobody may run */
        return S_ISDIR(attrs->mode) || (mask & X_OK & ~anyone) == 0;
    if (attrs->uid == fs->remote_uid)
        return (mask & ~(attrs->mode >> 6) & 7) == 0;
    return (mask & ~(attrs->mode | attrs->mode >> 3) & 7) == 0;
}

static void fs_access(fuse_req_t req, fuse_ino_t ino, int mask)
{
    struct fs *fs = fuse_req_userdata(req);
    struct node *node = fs_node(fs, ino);
    struct sftp_attrs attrs;
    bool is_fresh;
    int r = 0;

    pthread_mutex_lock(&fs->nodes.lock);
    is_fresh = deadline_now() < node->attrs_until_ms;
    attrs = node->attrs;
    pthread_mutex_unlock(&fs->nodes.lock);
    if (!is_fresh)
        r = ask_attrs(fs, node, &attrs);
    if (r == 0 && (attrs.flags & SFTP_ATTR_MODE) != 0 && !may_access(fs, &attrs, (uint32_t)mask))
        r = -EACCES;
    (void)fuse_reply_err(req, fs_errno(r));
}

static uint32_t seconds(const struct timespec *ts, bool is_now)
{
    return sftp_time(is_now ? time(NULL) : ts->tv_sec);
}

/* What the kernel wants set, as the protocol has it: both of a pair, or none. */
static void wanted_attrs(struct fs *fs, const struct sftp_attrs *now, const struct stat *st,
                         int to_set, struct sftp_attrs *attrs)
{
    *attrs = *now;
    attrs->flags = 0;
    if ((to_set & FUSE_SET_ATTR_SIZE) != 0) {
        attrs->flags |= SFTP_ATTR_SIZE;
        attrs->size = (uint64_t)st->st_size;
    }
    if ((to_set & FUSE_SET_ATTR_MODE) != 0) {
        attrs->flags |= SFTP_ATTR_MODE;
        attrs->mode = st->st_mode & 07777;
    }
    if ((to_set & (FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID)) != 0) {
        attrs->flags |= SFTP_ATTR_OWNER;
        if ((to_set & FUSE_SET_ATTR_UID) != 0)
            attrs->uid = st->st_uid == fs->uid ? fs->remote_uid : st->st_uid;
        if ((to_set & FUSE_SET_ATTR_GID) != 0)
            attrs->gid = st->st_gid == fs->gid ? fs->remote_gid : st->st_gid;
    }
    if ((to_set & (FUSE_SET_ATTR_ATIME | FUSE_SET_ATTR_MTIME)) != 0) {
        attrs->flags |= SFTP_ATTR_TIMES;
        if ((to_set & FUSE_SET_ATTR_ATIME) != 0)
            attrs->atime = seconds(&st->st_atim, (to_set & FUSE_SET_ATTR_ATIME_NOW) != 0);
        if ((to_set & FUSE_SET_ATTR_MTIME) != 0)
            attrs->mtime = seconds(&st->st_mtim, (to_set & FUSE_SET_ATTR_MTIME_NOW) != 0);
    }
}

/* Sets them at the server. */
static int set_attrs(struct fs *fs, struct node *node, struct file *file,
                     const struct sftp_attrs *attrs)
{
    cleanup_free char *path = NULL;
    int r;

    if (file != NULL)
        return attrs->flags == SFTP_ATTR_TIMES && (file->flags & SFTP_OPEN_WRITE) != 0
                   ? file_set_times(file, attrs)
                   : file_setattr(file, attrs);
    path = nodes_path(&fs->nodes, fs->prefix, node, NULL);
    if (path == NULL)
        return -errno;
    if (S_ISLNK(node->attrs.mode)) {
        ON_SERVER(fs, true, r, sftp_lsetstat(client, path, attrs));
    } else {
        ON_SERVER(fs, true, r, sftp_setstat(client, path, attrs));
    }
    return r;
}

/*
 * A server has one word for all that it refuses. Modes, owners and chosen times are the owner's to
 * set, and programs expect to be told so of a file that is another's.
 */
static int refusal(int r, int to_set)
{
    const int owners = FUSE_SET_ATTR_MODE | FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID;
    const bool is_chosen_time =
        ((to_set & FUSE_SET_ATTR_ATIME) != 0 && (to_set & FUSE_SET_ATTR_ATIME_NOW) == 0) ||
        ((to_set & FUSE_SET_ATTR_MTIME) != 0 && (to_set & FUSE_SET_ATTR_MTIME_NOW) == 0);

    return r == -EACCES && ((to_set & owners) != 0 || is_chosen_time) ? -EPERM : r;
}

/* With the nodes' lock: what was set is known. */
static void note_set(struct fs *fs, struct node *node, const struct sftp_attrs *attrs)
{
    const bool is_mode_ours = node->is_mode_ours || (attrs->flags & SFTP_ATTR_MODE) != 0;
    struct sftp_attrs now = node->attrs;

    known_changed(node, attrs);
    if ((attrs->flags & SFTP_ATTR_SIZE) != 0)
        now.size = attrs->size;
    if ((attrs->flags & SFTP_ATTR_MODE) != 0)
        now.mode = (now.mode & S_IFMT) | attrs->mode;
    if ((attrs->flags & SFTP_ATTR_TIMES) != 0) {
        now.atime = attrs->atime;
        now.mtime = attrs->mtime;
    } else if ((attrs->flags & SFTP_ATTR_SIZE) != 0) {
        now.mtime = (uint32_t)time(NULL);
    }
    /* The server may take bits of the mode away when the owner changes. */
    if ((attrs->flags & SFTP_ATTR_OWNER) != 0)
        node->attrs_until_ms = 0;
    else
        node_set_attrs(node, &now, deadline_now() + fs->options.cache_ms);
    node->is_time_ours = (attrs->flags & SFTP_ATTR_TIMES) == 0;
    node->is_mode_ours = is_mode_ours;
    if (node->parent != NULL)
        fs_dir_add(node->parent, node->name, (attrs->flags & SFTP_ATTR_OWNER) != 0 ? NULL : &now);
}

/*
 * Who unpacks an archive gives each file the owner that it has. With the nodes' lock: what is left
 * to be set of a file that we have just made, whose set-id bits such a change would clear.
 */
static int without_known_owner(const struct fs *fs, const struct node *node, const struct stat *st,
                               int to_set)
{
    struct stat now;

    if (deadline_now() >= node->ours_until_ms || (node->attrs.mode & (S_ISUID | S_ISGID)) != 0)
        return to_set;
    fs_fill_stat(fs, node, &now);
    if ((to_set & FUSE_SET_ATTR_UID) != 0 && st->st_uid != now.st_uid)
        return to_set;
    if ((to_set & FUSE_SET_ATTR_GID) != 0 && st->st_gid != now.st_gid)
        return to_set;
    return to_set & ~(FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID);
}

/*
 * With the nodes' lock: whether what is known has to be asked for before they are set. SFTP sets
 * both of a pair; what we know of a directory's last access is good enough, however old.
 */
static bool has_to_know(const struct node *node, int to_set)
{
    bool has_half = ((to_set & FUSE_SET_ATTR_UID) != 0) != ((to_set & FUSE_SET_ATTR_GID) != 0);

    if (deadline_now() < node->attrs_until_ms)
        return false;
    return !S_ISDIR(node->attrs.mode) || has_half ||
           ((to_set & FUSE_SET_ATTR_ATIME) != 0 && (to_set & FUSE_SET_ATTR_MTIME) == 0);
}

/* By the handle of a writer, so that it comes behind what is being written; by any without a name.
 */
static struct file *find_setter(struct fs *fs, struct node *node)
{
    struct file *file = file_find(fs, node, SFTP_OPEN_WRITE);
    cleanup_free char *path = NULL;

    if (file != NULL)
        return file;
    path = nodes_path(&fs->nodes, fs->prefix, node, NULL);
    return path == NULL ? file_find(fs, node, 0) : NULL;
}

static void fs_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *st, int to_set,
                       struct fuse_file_info *fi)
{
    struct fs *fs = fuse_req_userdata(req);
    struct node *node = fs_node(fs, ino);
    struct file *file = find_setter(fs, node);
    struct sftp_attrs now, attrs;
    bool has_to_ask, is_known;
    int r = 0;

    (void)fi;
    /* A file that is cut must not get from another handle what was written before. */
    if ((to_set & FUSE_SET_ATTR_SIZE) != 0)
        files_settle(fs, node);
    pthread_mutex_lock(&fs->nodes.lock);
    now = node->attrs;
    to_set = without_known_owner(fs, node, st, to_set);
    has_to_ask = has_to_know(node, to_set);
    is_known = has_to_ask || deadline_now() < node->attrs_until_ms;
    pthread_mutex_unlock(&fs->nodes.lock);
    if (has_to_ask)
        r = ask_attrs(fs, node, &now);
    if (r == 0) {
        wanted_attrs(fs, &now, st, to_set, &attrs);
        pthread_mutex_lock(&fs->nodes.lock);
        known_may_change(node, &attrs);
        pthread_mutex_unlock(&fs->nodes.lock);
        if (attrs.flags != 0)
            r = refusal(set_attrs(fs, node, file, &attrs), to_set);
        if ((attrs.flags & SFTP_ATTR_SIZE) != 0)
            r = large_resize_error(r, now.size, attrs.size);
    }
    /* Only now: what is read ahead until the server has set it may be from before. */
    if ((to_set & FUSE_SET_ATTR_SIZE) != 0)
        atomic_fetch_add(&node->writes, 1);
    pthread_mutex_lock(&fs->nodes.lock);
    if (has_to_ask && r == 0)
        node->attrs = now;
    if (r == 0)
        note_set(fs, node, &attrs);
    if (r != 0 || !is_known)
        node->attrs_until_ms = 0;
    /* The kernel may be told old news of a directory, which it asks for again; but no old size. */
    has_to_ask = r == 0 && !S_ISDIR(node->attrs.mode) && deadline_now() >= node->attrs_until_ms;
    pthread_mutex_unlock(&fs->nodes.lock);
    if (has_to_ask) {
        r = ask_attrs(fs, node, &now);
        pthread_mutex_lock(&fs->nodes.lock);
        if (r == 0) {
            node_set_attrs(node, &now, deadline_now() + fs->options.cache_ms);
            known_told(node, &now);
        }
        pthread_mutex_unlock(&fs->nodes.lock);
    }
    if (file != NULL)
        file_put(file);
    if (r < 0)
        (void)fuse_reply_err(req, fs_errno(r));
    else
        reply_attr(req, node);
}

static void fs_statfs(fuse_req_t req, fuse_ino_t ino)
{
    struct fs *fs = fuse_req_userdata(req);
    cleanup_free char *path = nodes_path(&fs->nodes, fs->prefix, fs_node(fs, ino), NULL);
    struct statvfs vfs;
    int r;

    if (path == NULL) {
        (void)fuse_reply_err(req, errno);
        return;
    }
    ON_SERVER(fs, true, r, sftp_statvfs(client, path, &vfs));
    if (r == -EOPNOTSUPP) {
        /* Nothing is known: room, so that programs go on. */
        memset(&vfs, 0, sizeof(vfs));
        vfs.f_bsize = vfs.f_frsize = 4096;
        vfs.f_blocks = vfs.f_bfree = vfs.f_bavail = UINT32_MAX;
        vfs.f_namemax = NAME_MAX;
        r = 0;
    }
    if (r < 0)
        (void)fuse_reply_err(req, fs_errno(r));
    else
        (void)fuse_reply_statfs(req, &vfs);
}

void fs_add_attr_ops(struct fuse_lowlevel_ops *ops)
{
    ops->getattr = fs_getattr;
    ops->access = fs_access;
    ops->setattr = fs_setattr;
    ops->statfs = fs_statfs;
}

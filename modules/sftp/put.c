/* SPDX-License-Identifier: MIT */
/* Copies to a server: files under a name of their own until they are whole. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/files/files.h"
#include "modules/sftp/transfer-internal.h"
#include "modules/sftp/window.h"

/* A file that goes. */
struct departure {
    struct transfer *transfer;
    const struct item *item;
    const char *there;
    char *part; /* what it is called until it is whole */
    int fd;
    struct stat source; /* when it was opened */
    uint64_t size;      /* of the source; 0: what comes to its end, as files of /proc have it */
    uint64_t hole_end;  /* up to here there is data */
    struct crosh_error err;
};

static int fail(struct departure *departure, int code)
{
    departure->err.message[0] = '\0';
    departure->err.code = code;
    return code;
}

/* The path of the part: beside the file. */
static char *part_path(const char *there)
{
    const char *slash = strrchr(there, '/');
    char name[NAME_MAX + 1];
    char *path = NULL;

    if (strlen(slash + 1) > NAME_MAX)
        return NULL;
    files_part_name(name, slash + 1);
    return asprintf(&path, "%.*s%s", (int)(slash + 1 - there), there, name) >= 0 ? path : NULL;
}

/* ---- Contents ---- */

static ssize_t give(void *opaque, uint64_t *offset, uint8_t *data, size_t size)
{
    struct departure *departure = opaque;
    const uint64_t end = departure->size > 0 ? departure->size : UINT64_MAX;
    ssize_t n;

    if (departure->size > 0 && *offset >= departure->hole_end) {
        off_t start = lseek(departure->fd, (off_t)*offset, SEEK_DATA);
        off_t hole = start >= 0 ? lseek(departure->fd, start, SEEK_HOLE) : -1;

        if ((start < 0 && errno == ENXIO) || start >= (off_t)end) {
            /* Nothing but a hole up to the end, which the size will make. */
            transfer_advance(departure->transfer, (int64_t)(end - *offset));
            *offset = end;
            return 0;
        }
        if (start > (off_t)*offset) {
            transfer_advance(departure->transfer, (int64_t)(start - (off_t)*offset));
            *offset = (uint64_t)start;
        }
        departure->hole_end = hole > start ? (uint64_t)hole : UINT64_MAX;
    }
    if (end - *offset < size)
        size = (size_t)(end - *offset);
    if (departure->size > 0 && departure->hole_end - *offset < size)
        size = (size_t)(departure->hole_end - *offset);
    do
        n = pread(departure->fd, data, size, (off_t)*offset);
    while (n < 0 && errno == EINTR);
    if (n > 0 && departure->size == 0)
        transfer_expect(departure->transfer, (uint64_t)n);
    if (n > 0)
        transfer_advance(departure->transfer, n);
    return n < 0 ? -errno : n;
}

static bool is_stopped(void *opaque)
{
    return transfer_is_stopped(((struct departure *)opaque)->transfer);
}

/* How far the part at the server is good. */
static uint64_t resume_at(struct departure *departure)
{
    struct sftp_attrs have;

    if (departure->size < FILES_RESUME_MIN ||
        sftp_lstat(departure->transfer->client, departure->part, &have) < 0 ||
        !S_ISREG(have.mode) || have.size == 0 || have.size > departure->size)
        return 0;
    return transfer_resume_at(departure->transfer, departure->part, departure->fd, have.size,
                              (have.flags & SFTP_ATTR_TIMES) != 0 &&
                                  have.atime ==
                                      transfer_mark(departure->size, &departure->source.st_mtim));
}

/* Opens the part of an earlier attempt, cut to what is good of it. */
static int open_old_part(struct departure *departure, uint64_t offset, struct sftp_handle *handle)
{
    struct sftp_client *client = departure->transfer->client;
    const struct sftp_attrs size = {.flags = SFTP_ATTR_SIZE, .size = offset};
    int r = sftp_open(client, departure->part, SFTP_OPEN_WRITE, 0, handle);

    if (r < 0)
        return r;
    r = sftp_fsetstat(client, handle, &size);
    if (r < 0)
        (void)sftp_close(client, handle);
    return r;
}

/*
 * Gives the part the mark of its source. Where the server does not keep it a copy that was cut
 * begins anew.
 */
static void mark(struct departure *departure, const struct sftp_handle *handle)
{
    const struct sftp_attrs times = {
        .flags = SFTP_ATTR_TIMES,
        .atime = transfer_mark(departure->size, &departure->source.st_mtim),
        .mtime = sftp_time(departure->source.st_mtim.tv_sec),
    };

    if (departure->size >= FILES_RESUME_MIN)
        sftp_fsetstat_unheard(departure->transfer->client, handle, &times);
}

/* Opens the part: that of an earlier attempt, or a new one. */
static int open_part(struct departure *departure, uint64_t *offset, struct sftp_handle *handle)
{
    struct sftp_client *client = departure->transfer->client;
    const uint32_t anew = SFTP_OPEN_WRITE | SFTP_OPEN_CREATE | SFTP_OPEN_EXCLUSIVE;
    int r;

    *offset = resume_at(departure);
    if (*offset > 0 && open_old_part(departure, *offset, handle) == 0) {
        mark(departure, handle);
        return 0;
    }
    *offset = 0;
    r = sftp_open(client, departure->part, anew, 0600, handle);
    /* What is there is no use, whatever it is: there is no telling it from another error. */
    if (r == -EIO || r == -EEXIST) {
        if (sftp_remove(client, departure->part) == 0)
            r = sftp_open(client, departure->part, anew, 0600, handle);
    }
    if (r == 0)
        mark(departure, handle);
    return r;
}

/*
 * The server has refused to set what the part should have: that is no copy less if it is whole.
 * A server may have tried one thing and not the others, and a sync goes by the time.
 */
static int settle_refused(struct departure *departure, int code)
{
    struct sftp_client *client = departure->transfer->client;
    const struct sftp_attrs times = {
        .flags = SFTP_ATTR_TIMES,
        .atime = sftp_time(departure->source.st_mtim.tv_sec),
        .mtime = sftp_time(departure->source.st_mtim.tv_sec),
    };
    struct sftp_attrs attrs;

    if (sftp_client_state(client) != 0 || sftp_lstat(client, departure->part, &attrs) < 0 ||
        !S_ISREG(attrs.mode) || attrs.size != departure->size)
        return code;
    if (attrs.mtime != times.mtime)
        (void)sftp_setstat(client, departure->part, &times);
    transfer_unkept(departure->transfer, departure->there, code);
    return 0;
}

/* Size, mode and time; then the handle is closed, in the same round trip. */
static int finish_handle(struct departure *departure, const struct sftp_handle *handle)
{
    const struct sftp_attrs attrs = {
        .flags = SFTP_ATTR_SIZE | SFTP_ATTR_MODE | SFTP_ATTR_TIMES,
        .size = departure->size,
        .mode = departure->source.st_mode & 0777,
        .atime = sftp_time(departure->source.st_mtim.tv_sec),
        .mtime = sftp_time(departure->source.st_mtim.tv_sec),
    };
    struct sftp_client *const clients[2] = {departure->transfer->client,
                                            departure->transfer->client};
    struct sftp_packet packets[2];
    struct sftp_reply replies[2];
    int r, closed;

    sftp_packet_begin(&packets[0], SFTP_FSETSTAT);
    sftp_packet_string(&packets[0], handle->bytes, handle->size);
    sftp_packet_attrs(&packets[0], &attrs);
    sftp_packet_begin(&packets[1], SFTP_CLOSE);
    sftp_packet_string(&packets[1], handle->bytes, handle->size);
    sftp_call_two(clients, packets, replies);
    r = sftp_reply_status(&replies[0]);
    closed = sftp_reply_status(&replies[1]);
    sftp_call_free(&replies[0]);
    sftp_call_free(&replies[1]);
    if (r < 0 && closed == 0)
        r = settle_refused(departure, r);
    return r < 0 ? r : closed;
}

/* Gives the part its name. */
static int rename_part(struct departure *departure)
{
    struct sftp_client *client = departure->transfer->client;
    int r = sftp_rename(client, departure->part, departure->there);
    struct sftp_attrs attrs;

    /* A server that replaces nothing needs room made first. */
    if (r < 0 && (sftp_client_can(client) & SFTP_CAN_POSIX_RENAME) == 0 &&
        sftp_lstat(client, departure->there, &attrs) == 0 && !S_ISDIR(attrs.mode) &&
        sftp_remove(client, departure->there) == 0)
        r = sftp_rename(client, departure->part, departure->there);
    if (r < 0 && sftp_lstat(client, departure->there, &attrs) == 0 && S_ISDIR(attrs.mode))
        return crosh_error_set(&departure->err, -EISDIR,
                               "there is a directory of that name at the target");
    return r < 0 ? fail(departure, r) : 0;
}

static int verify(struct departure *departure)
{
    int r =
        departure->transfer->options.is_verified
            ? transfer_matches(departure->transfer, departure->part, departure->fd, departure->size)
            : 1;

    if (r == 0)
        return crosh_error_set(&departure->err, -EBADMSG, "the copy is not the same");
    return r < 0 ? fail(departure, r) : 0;
}

/* Whether the source is not any more what it was when it was opened. */
static bool has_changed(const struct departure *departure, uint64_t sent)
{
    const struct stat *before = &departure->source;
    struct stat after;

    if (fstat(departure->fd, &after) < 0)
        return true;
    /* Of one that tells no size the time may be anything. */
    if (before->st_size == 0)
        return (uint64_t)after.st_size > sent;
    return after.st_size != before->st_size || after.st_mtim.tv_sec != before->st_mtim.tv_sec ||
           after.st_mtim.tv_nsec != before->st_mtim.tv_nsec;
}

static int send(struct departure *departure)
{
    const struct window_user user = {.give = give, .is_stopped = is_stopped, .opaque = departure};
    struct sftp_client *client = departure->transfer->client;
    bool is_changed = false;
    uint64_t offset, at;
    struct sftp_handle handle;
    int r = open_part(departure, &offset, &handle);

    /* The file that is named is not the one that it is about. */
    if (r < 0)
        return crosh_error_set(&departure->err, r, "cannot be made there: %s", strerror(-r));
    transfer_advance(departure->transfer, (int64_t)offset);
    at = offset;
    r = window_write(client, &handle, &at, departure->size > 0 ? departure->size : UINT64_MAX,
                     &user);
    if (r == 0 && at < departure->size)
        r = crosh_error_set(&departure->err, -EIO, "became shorter while it was read");
    else if (r < 0)
        (void)fail(departure, r);
    if (r < 0) {
        struct sftp_attrs size = {.flags = SFTP_ATTR_SIZE, .size = at};

        /* Behind a piece that is missing nothing is of use. */
        if (sftp_client_state(client) == 0) {
            (void)sftp_fsetstat(client, &handle, &size);
            (void)sftp_close(client, &handle);
        }
    } else {
        departure->size = at;
        is_changed = has_changed(departure, at);
        r = finish_handle(departure, &handle);
        if (r < 0)
            (void)fail(departure, r);
    }
    if (r == 0)
        r = verify(departure);
    if (r == 0)
        r = rename_part(departure);
    if (r == 0 && is_changed) {
        cleanup_free char *shown = item_shown(departure->item);

        transfer_warn(departure->transfer, shown != NULL ? shown : departure->there,
                      TRANSFER_CHANGED);
    }
    /* Left for another attempt is what is large and was cut off. */
    if (r < 0 && (r != -ECANCELED || departure->size < FILES_RESUME_MIN) &&
        sftp_client_state(client) == 0)
        (void)sftp_remove(client, departure->part);
    return r;
}

/* The directory of the item here, and the item in it opened. */
static int open_source(struct departure *departure)
{
    cleanup_close int dir_fd = tree_open(departure->item->tree);
    struct stat *st = &departure->source;

    if (dir_fd < 0)
        return fail(departure, -errno);
    departure->fd = openat(dir_fd, departure->item->name,
                           O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY |
                               (departure->item->is_top ? 0 : O_NOFOLLOW));
    if (departure->fd < 0 || fstat(departure->fd, st) < 0)
        return fail(departure, -errno);
    /* Since it was listed it may have become another. */
    departure->size = (uint64_t)st->st_size;
    transfer_expect(departure->transfer, departure->size - departure->item->attrs.size);
    return S_ISREG(st->st_mode) ? 0 : fail(departure, -EINVAL);
}

/* ---- Links ---- */

static int replace_link(struct departure *departure, const char *points_to)
{
    struct sftp_client *client = departure->transfer->client;
    struct sftp_attrs attrs;
    int r = sftp_symlink(client, points_to, departure->part, &attrs);

    if (r == -EEXIST && sftp_remove(client, departure->part) == 0)
        r = sftp_symlink(client, points_to, departure->part, &attrs);
    if (r < 0)
        return fail(departure, r);
    r = rename_part(departure);
    if (r < 0)
        (void)sftp_remove(client, departure->part);
    return r;
}

static int put_link(struct departure *departure)
{
    struct transfer *transfer = departure->transfer;
    const struct item *item = departure->item;
    cleanup_close int dir_fd = tree_open(item->tree);
    char points_to[PATH_MAX];
    cleanup_free char *old = NULL;
    ssize_t n = dir_fd < 0 ? -1 : readlinkat(dir_fd, item->name, points_to, sizeof(points_to) - 1);
    int r = 0;

    if (n < 0)
        return fail(departure, -errno);
    points_to[n] = '\0';
    if (item->is_target_known && S_ISLNK(item->target.mode) &&
        sftp_readlink(transfer->client, departure->there, &old) == 0 &&
        strcmp(old, points_to) == 0) {
        transfer_count(transfer, TRANSFER_UNCHANGED, departure->there, 0);
        return 0;
    }
    if (!transfer->options.is_dry)
        r = replace_link(departure, points_to);
    if (r == 0)
        transfer_count(transfer, TRANSFER_COPIED, departure->there, 0);
    return r;
}

/* ---- What is there already ---- */

/* Of a sync: 1 when nothing is to be done, 0, or negative. A directory in the way is removed. */
static int look_before(struct departure *departure)
{
    struct transfer *transfer = departure->transfer;
    const struct item *item = departure->item;
    const struct sftp_attrs time = {
        .flags = SFTP_ATTR_TIMES,
        .atime = sftp_time(item->mtime.tv_sec),
        .mtime = sftp_time(item->mtime.tv_sec),
    };
    int r;

    if (S_ISDIR(item->target.mode)) {
        if (!transfer->options.is_deleting)
            return crosh_error_set(&departure->err, -EISDIR,
                                   "there is a directory of that name at the target");
        return sync_delete_there(transfer, departure->there, &item->target)
                   ? 0
                   : fail(departure, -ECANCELED);
    }
    if (!S_ISREG(item->attrs.mode) || !S_ISREG(item->target.mode) ||
        item->target.size != item->attrs.size)
        return 0;
    if (!transfer->options.is_by_content)
        return item->target.mtime == time.mtime;
    r = open_source(departure);
    if (r == 0)
        r = transfer_matches(transfer, departure->there, departure->fd, item->attrs.size);
    if (r > 0 && !transfer->options.is_dry && item->target.mtime != time.mtime)
        (void)sftp_setstat(transfer->client, departure->there, &time);
    return r < 0 && departure->err.code == 0 ? fail(departure, r) : r;
}

static int put_regular(struct departure *departure)
{
    struct transfer *transfer = departure->transfer;
    int r = 0;

    if (transfer->options.is_dry) {
        departure->size = departure->item->attrs.size;
        transfer_advance(transfer, (int64_t)departure->size);
    } else {
        if (departure->fd < 0)
            r = open_source(departure);
        if (r == 0)
            r = send(departure);
    }
    if (r == 0)
        transfer_count(transfer, TRANSFER_COPIED, departure->there, departure->size);
    return r;
}

void put_file(void *opaque, struct job *job)
{
    struct transfer *transfer = opaque;
    struct item *item = (struct item *)job;
    cleanup_free char *there = item_there(item);
    cleanup_free char *shown = item_shown(item);
    cleanup_free char *part = there != NULL ? part_path(there) : NULL;
    struct departure departure = {
        .transfer = transfer, .item = item, .there = there, .part = part, .fd = -1};
    int r = 0;

    if (transfer_is_stopped(transfer)) {
        item_free(item);
        return;
    }
    if (part == NULL || shown == NULL)
        r = fail(&departure, -ENOMEM);
    else if (!S_ISREG(item->attrs.mode) && !S_ISLNK(item->attrs.mode))
        r = crosh_error_set(&departure.err, -EINVAL, "neither a file nor a directory");
    if (r == 0 && item->is_target_known && item->target.flags != 0)
        r = look_before(&departure);
    if (r > 0) {
        transfer_advance(transfer, (int64_t)item->attrs.size);
        transfer_count(transfer, TRANSFER_UNCHANGED, there, 0);
    } else if (r == 0) {
        r = S_ISLNK(item->attrs.mode) ? put_link(&departure) : put_regular(&departure);
    }
    if (departure.fd >= 0)
        (void)close(departure.fd);
    if (r < 0)
        transfer_trouble(transfer, item->is_top, shown != NULL ? shown : item->name, r,
                         departure.err.message[0] != '\0' ? departure.err.message : NULL);
    item_free(item);
}

/* ---- Directories ---- */

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct sftp_entry *)a)->name, ((const struct sftp_entry *)b)->name);
}

static struct sftp_entry *find_entry(const struct sftp_entries *entries, const char *name)
{
    const struct sftp_entry key = {.name = (char *)name};

    return entries->count == 0
               ? NULL
               : bsearch(&key, entries->entry, entries->count, sizeof(key), by_name);
}

/* Makes the directory of the item, unless it is there. */
static int make_directory(struct transfer *transfer, const struct item *item, const char *there,
                          struct crosh_error *err)
{
    struct sftp_attrs attrs = item->target;
    int r = 0;

    if (item->is_target_known && item->target.flags != 0 && !S_ISDIR(item->target.mode)) {
        if (!transfer->options.is_deleting)
            return crosh_error_set(err, -ENOTDIR, "is there already and is not a directory");
        if (!sync_delete_there(transfer, there, &item->target))
            return -ECANCELED;
    } else if (item->is_target_known && item->target.flags != 0) {
        return 0;
    }
    if (!transfer->options.is_dry)
        r = sftp_mkdir(transfer->client, there, 0700, &attrs);
    if (r == -EEXIST)
        return S_ISDIR(attrs.mode)
                   ? 0
                   : crosh_error_set(err, -ENOTDIR, "is there already and is not a directory");
    if (r == 0)
        transfer_count(transfer, TRANSFER_MADE, there, 0);
    return r;
}

/* One entry of a directory here; target: NULL when nothing is known of the target. */
static void start_entry(struct transfer *transfer, struct tree *tree, int dir_fd, const char *name,
                        const struct sftp_entries *targets)
{
    struct item *item = item_new(tree_ref(tree), name);
    struct sftp_entry *target = targets != NULL ? find_entry(targets, name) : NULL;
    struct stat st;

    if (item == NULL) {
        transfer_trouble(transfer, false, tree->there, -ENOMEM, NULL);
        return;
    }
    if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
        cleanup_free char *shown = item_shown(item);

        transfer_trouble(transfer, false, shown != NULL ? shown : name, -errno, NULL);
        item_free(item);
        return;
    }
    item->attrs = (struct sftp_attrs){.size = (uint64_t)st.st_size, .mode = st.st_mode};
    item->mtime = st.st_mtim;
    item->is_target_known = targets != NULL;
    if (target != NULL)
        item->target = target->attrs;
    item_start(item, S_ISDIR(st.st_mode));
}

/* What the target has; of a directory that a dry run has not made: nothing. */
static int list_target(struct transfer *transfer, const struct tree *tree,
                       struct sftp_entries *targets)
{
    int r = sftp_list(transfer->client, tree->there, targets);

    if (r == -ENOENT && transfer->options.is_dry)
        r = 0;
    if (r == 0 && targets->count > 0)
        qsort(targets->entry, targets->count, sizeof(*targets->entry), by_name);
    return r;
}

/* Removes at the target what has no like here. */
static void delete_others(struct transfer *transfer, const struct tree *tree, int dir_fd,
                          const struct sftp_entries *targets)
{
    for (size_t i = 0; i < targets->count && !transfer_is_stopped(transfer); i++) {
        const struct sftp_entry *entry = &targets->entry[i];
        cleanup_free char *path = path_join(tree->there, entry->name);
        struct stat st;

        if (path != NULL && !files_is_part_name(entry->name) &&
            fstatat(dir_fd, entry->name, &st, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT)
            (void)sync_delete_there(transfer, path, &entry->attrs);
    }
}

static void put_contents(struct transfer *transfer, struct tree *tree, const char *shown,
                         bool is_top)
{
    const bool is_sync = transfer->options.is_sync;
    struct sftp_entries targets = {0};
    int fd = tree->depth > FILES_DEPTH_MAX ? (errno = ELOOP, -1) : tree_open(tree);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    struct dirent *found;
    int r = dir == NULL ? -errno : 0;

    if (r == 0 && is_sync)
        r = list_target(transfer, tree, &targets);
    if (r < 0)
        transfer_trouble(transfer, is_top, shown, r, NULL);
    if (r == 0 && transfer->options.is_deleting)
        delete_others(transfer, tree, dirfd(dir), &targets);
    while (r == 0 && (found = readdir(dir)) != NULL && !transfer_is_stopped(transfer)) {
        if (strcmp(found->d_name, ".") != 0 && strcmp(found->d_name, "..") != 0)
            start_entry(transfer, tree, dirfd(dir), found->d_name, is_sync ? &targets : NULL);
    }
    if (dir != NULL)
        (void)closedir(dir);
    else if (fd >= 0)
        (void)close(fd);
    sftp_entries_free(&targets);
}

void put_directory(void *opaque, struct job *job)
{
    struct transfer *transfer = opaque;
    struct item *item = (struct item *)job;
    cleanup_free char *shown = item_shown(item);
    struct crosh_error err = {0};
    struct tree *tree = NULL;
    int r = 0;

    if (!transfer_is_stopped(transfer) && item->name[0] == '\0') {
        tree = tree_ref(item->tree);
    } else if (!transfer_is_stopped(transfer)) {
        tree = tree_new(transfer, item->tree, item->name);
        r = tree == NULL || shown == NULL ? -ENOMEM
                                          : make_directory(transfer, item, tree->there, &err);
        if (r < 0) {
            transfer_trouble(transfer, false, tree != NULL ? tree->there : item->name, r,
                             err.message[0] != '\0' ? err.message : NULL);
            tree_unref(move_ptr(tree));
        } else {
            tree->has_attributes = true;
            tree->attributes =
                (struct files_attributes){.mode = item->attrs.mode, .mtime = item->mtime};
        }
    }
    if (tree != NULL)
        put_contents(transfer, tree, shown != NULL ? shown : "", item->is_top);
    tree_unref(tree);
    item_free(item);
}

/* SPDX-License-Identifier: MIT */
/* Copies from a server, which may be hostile: nothing is made but in the target, by names checked.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/files/files.h"
#include "modules/sftp/transfer-internal.h"
#include "modules/sftp/window.h"

/* Zeroes of this size are not written: the file has a hole there. */
#define HOLE (64u * 1024u)

/* A file that comes. */
struct arrival {
    struct transfer *transfer;
    const struct item *item;
    const char *there;
    struct sftp_attrs attrs; /* of the source, when it was opened */
    struct files_part part;
    struct crosh_error err; /* message empty: the code's own words */
};

static int fail(struct arrival *arrival, int code)
{
    arrival->err.message[0] = '\0';
    arrival->err.code = code;
    return code;
}

static bool is_zero(const uint8_t *data, size_t size)
{
    return data[0] == 0 && memcmp(data, data + 1, size - 1) == 0;
}

static int write_all(int fd, uint64_t offset, const uint8_t *data, size_t size)
{
    while (size > 0) {
        ssize_t n = pwrite(fd, data, size, (off_t)offset);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        data += n;
        offset += (uint64_t)n;
        size -= (size_t)n;
    }
    return 0;
}

static int take(void *opaque, uint64_t offset, const uint8_t *data, size_t size)
{
    struct arrival *arrival = opaque;
    size_t done = 0;
    int r = 0;

    while (r == 0 && done < size) {
        size_t run = 0, next = 0;

        /* As much as has no hole at its beginning. */
        for (; done + run < size; run += next) {
            next = size - done - run < HOLE ? size - done - run : HOLE;
            if (is_zero(data + done + run, next))
                break;
        }
        if (run > 0)
            r = write_all(arrival->part.fd, offset + done, data + done, run);
        done += run > 0 ? run : next;
    }
    if (arrival->attrs.size == 0)
        transfer_expect(arrival->transfer, size);
    transfer_advance(arrival->transfer, (int64_t)size);
    return r;
}

static bool is_stopped(void *opaque)
{
    return transfer_is_stopped(((struct arrival *)opaque)->transfer);
}

/*
 * Reads from offset on; *size is what the file should have, and then what has come. One that says
 * that it is empty, as those of /proc do, is read to its end.
 */
static int read_contents(struct arrival *arrival, const struct sftp_handle *handle, uint64_t offset,
                         uint64_t *size)
{
    const struct window_user user = {.take = take, .is_stopped = is_stopped, .opaque = arrival};
    const bool is_unsized = *size == 0;
    uint64_t at = offset;
    int r;

    /* One piece at a time where the end is not known. */
    do {
        uint64_t end = is_unsized ? at + sftp_client_read_max(arrival->transfer->client) : *size;

        r = window_read(arrival->transfer->client, handle, &at, end, &user);
    } while (r == 0 && is_unsized);
    *size = at;
    if (r == -ENODATA && is_unsized)
        return 0;
    if (r == -ENODATA)
        return crosh_error_set(&arrival->err, -EIO, "became shorter while it was read");
    return r < 0 ? fail(arrival, r) : 0;
}

/* How far the part is good; what is there is cut to that, and gets the mark of its source. */
static int resume(struct arrival *arrival, uint64_t have, uint64_t *offset)
{
    const struct sftp_attrs *attrs = &arrival->attrs;
    const struct timespec mtime = {.tv_sec = attrs->mtime};
    const struct timespec times[2] = {{.tv_sec = transfer_mark(attrs->size, &mtime)},
                                      {.tv_nsec = UTIME_OMIT}};
    const bool has_mark = (attrs->flags & SFTP_ATTR_TIMES) != 0;
    struct stat st;

    *offset = 0;
    if (have > 0 && have <= attrs->size && attrs->size >= FILES_RESUME_MIN &&
        fstat(arrival->part.fd, &st) == 0)
        *offset = transfer_resume_at(arrival->transfer, arrival->there, arrival->part.fd, have,
                                     has_mark && st.st_atim.tv_sec == times[0].tv_sec);
    if (ftruncate(arrival->part.fd, (off_t)*offset) < 0)
        return fail(arrival, -errno);
    /* Where it cannot be kept a copy that was cut begins anew. */
    if (has_mark && attrs->size >= FILES_RESUME_MIN)
        (void)futimens(arrival->part.fd, times);
    return 0;
}

static int verify(struct arrival *arrival, uint64_t size)
{
    int r = arrival->transfer->options.is_verified
                ? transfer_matches(arrival->transfer, arrival->there, arrival->part.fd, size)
                : 1;

    if (r == 0)
        return crosh_error_set(&arrival->err, -EBADMSG, "the copy is not the same");
    return r < 0 ? fail(arrival, r) : 0;
}

/* Whether what has come of it can serve another attempt. */
static bool is_worth_keeping(const struct arrival *arrival, int why, uint64_t come)
{
    return come > 0 && why != -ENOSPC && why != -EDQUOT && why != -EBADMSG &&
           arrival->attrs.size >= FILES_RESUME_MIN;
}

/* All that the file has; *size becomes how far it has come. */
static int receive(struct arrival *arrival, const struct sftp_handle *handle, uint64_t have,
                   uint64_t *size)
{
    uint64_t offset;
    int r = resume(arrival, have, &offset);

    *size = arrival->attrs.size;
    if (r < 0)
        return r;
    transfer_advance(arrival->transfer, (int64_t)offset);
    r = read_contents(arrival, handle, offset, size);
    if (ftruncate(arrival->part.fd, (off_t)*size) < 0 && r == 0)
        r = fail(arrival, -errno);
    return r;
}

/* Whether the source is not any more what it was when it was opened. */
static bool has_changed(const struct arrival *arrival, const struct sftp_attrs *after,
                        uint64_t size)
{
    const struct sftp_attrs *before = &arrival->attrs;
    const uint32_t known = before->flags & after->flags;

    /* Of one that tells no size the time may be anything. */
    if (before->size == 0)
        return (after->flags & SFTP_ATTR_SIZE) != 0 && after->size > size;
    return ((known & SFTP_ATTR_SIZE) != 0 && before->size != after->size) ||
           ((known & SFTP_ATTR_TIMES) != 0 && before->mtime != after->mtime);
}

/* Gives the part, of which all has come, its name. */
static int finish(struct arrival *arrival, uint64_t size)
{
    const struct sftp_attrs *attrs = &arrival->attrs;
    const struct files_attributes attributes = {
        .mode = (attrs->flags & SFTP_ATTR_MODE) != 0 ? attrs->mode : 0644,
        .mtime = {.tv_sec = attrs->mtime},
    };
    const struct timespec unmarked[2] = {{.tv_nsec = UTIME_NOW}, {.tv_nsec = UTIME_OMIT}};
    int r = verify(arrival, size);

    /* The mark is no time that anybody has read it at. */
    if (r == 0 && attrs->size >= FILES_RESUME_MIN)
        (void)futimens(arrival->part.fd, unmarked);
    if (r == 0)
        r = files_part_finish(&arrival->part, &attributes, &arrival->err);
    if (r > 0)
        transfer_unkept(arrival->transfer, arrival->there, arrival->err.code);
    if (r >= 0)
        transfer_count(arrival->transfer, TRANSFER_COPIED, arrival->there, size);
    return r < 0 ? r : 0;
}

/* Opens the source. Since it was listed it may have become another. */
static int open_source(struct arrival *arrival, struct sftp_handle *handle)
{
    struct sftp_attrs now;
    int r = sftp_open_known(arrival->transfer->client, arrival->there, handle, &now);

    arrival->attrs = arrival->item->attrs;
    if (r < 0)
        return fail(arrival, r);
    if ((now.flags & SFTP_ATTR_SIZE) != 0 && (now.flags & SFTP_ATTR_MODE) != 0 &&
        S_ISREG(now.mode)) {
        transfer_expect(arrival->transfer, now.size - arrival->attrs.size);
        arrival->attrs = now;
    }
    return 0;
}

static int copy_file(struct arrival *arrival, int dir_fd)
{
    struct sftp_client *client = arrival->transfer->client;
    struct sftp_attrs after = {0};
    struct sftp_handle handle;
    uint64_t have, size = 0;
    int r = open_source(arrival, &handle);

    if (r < 0)
        return r;
    r = files_part_open(&arrival->part, dir_fd, arrival->item->name, &have, &arrival->err);
    if (r == 0)
        r = receive(arrival, &handle, have, &size);
    (void)sftp_close_known(client, &handle, &after);
    if (r == 0)
        r = finish(arrival, size);
    if (r < 0)
        files_part_drop(&arrival->part, is_worth_keeping(arrival, r, size));
    else if (has_changed(arrival, &after, size))
        transfer_warn(arrival->transfer, arrival->there, TRANSFER_CHANGED);
    return r;
}

static int copy_link(struct arrival *arrival, int dir_fd)
{
    const struct files_attributes attributes = {
        .mtime = {.tv_sec = arrival->item->attrs.mtime},
    };
    cleanup_free char *points_to = NULL;
    char old[PATH_MAX];
    ssize_t n;
    int r = sftp_readlink(arrival->transfer->client, arrival->there, &points_to);

    if (r == 0 && strlen(points_to) >= PATH_MAX)
        r = -ENAMETOOLONG;
    if (r < 0)
        return fail(arrival, r);
    if (arrival->transfer->options.is_sync) {
        n = readlinkat(dir_fd, arrival->item->name, old, sizeof(old));
        if (n >= 0 && (size_t)n == strlen(points_to) && memcmp(old, points_to, (size_t)n) == 0) {
            transfer_count(arrival->transfer, TRANSFER_UNCHANGED, arrival->there, 0);
            return 0;
        }
    }
    if (!arrival->transfer->options.is_dry)
        r = files_link_make(dir_fd, arrival->item->name, points_to, &attributes, &arrival->err);
    if (r == 0)
        transfer_count(arrival->transfer, TRANSFER_COPIED, arrival->there, 0);
    return r;
}

/* ---- What is there already ---- */

/* Whether the contents are the same; the time is then made the same, too. */
static int is_same_by_content(struct arrival *arrival, int dir_fd, const struct stat *st)
{
    const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT},
                                      {.tv_sec = arrival->item->attrs.mtime}};
    cleanup_close int fd = openat(dir_fd, arrival->item->name,
                                  O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    int r =
        fd < 0 ? -errno
               : transfer_matches(arrival->transfer, arrival->there, fd, arrival->item->attrs.size);

    if (r > 0 && !arrival->transfer->options.is_dry && st->st_mtim.tv_sec != times[1].tv_sec)
        (void)futimens(fd, times);
    return r;
}

/* Of a sync: 1 when nothing is to be done, 0, or negative. A directory in the way is removed. */
static int look_before(struct arrival *arrival, int dir_fd)
{
    struct transfer *transfer = arrival->transfer;
    const struct sftp_attrs *attrs = &arrival->item->attrs;
    struct stat st;
    int r;

    if (fstatat(dir_fd, arrival->item->name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 0 : fail(arrival, -errno);
    if (S_ISDIR(st.st_mode)) {
        if (!transfer->options.is_deleting)
            return crosh_error_set(&arrival->err, -EISDIR,
                                   "there is a directory of that name at the target");
        return sync_delete_here(transfer, dir_fd, arrival->item->name, arrival->there)
                   ? 0
                   : fail(arrival, -ECANCELED);
    }
    if (!S_ISREG(attrs->mode) || !S_ISREG(st.st_mode) || (uint64_t)st.st_size != attrs->size)
        return 0;
    if (transfer->options.is_by_content) {
        r = is_same_by_content(arrival, dir_fd, &st);
        return r < 0 ? fail(arrival, r) : r;
    }
    return st.st_mtim.tv_sec == (time_t)attrs->mtime;
}

/* With errno: whether a directory is not there because a dry run has not made it. */
static bool may_be_missing(const struct transfer *transfer)
{
    return transfer->options.is_dry && (errno == ENOENT || errno == ENOTDIR || errno == ELOOP);
}

void get_file(void *opaque, struct job *job)
{
    struct transfer *transfer = opaque;
    struct item *item = (struct item *)job;
    cleanup_free char *there = item_there(item);
    struct arrival arrival = {
        .transfer = transfer, .item = item, .there = there, .part = {.fd = -1}};
    cleanup_close int dir_fd = -1;
    int r = 0;

    if (transfer_is_stopped(transfer)) {
        item_free(item);
        return;
    }
    if (there == NULL)
        r = fail(&arrival, -ENOMEM);
    else if (!S_ISREG(item->attrs.mode) && !S_ISLNK(item->attrs.mode))
        r = crosh_error_set(&arrival.err, -EINVAL, "neither a file nor a directory");
    if (r == 0) {
        dir_fd = tree_open(item->tree);
        if (dir_fd < 0 && !may_be_missing(transfer))
            r = fail(&arrival, -errno);
    }
    if (r == 0 && transfer->options.is_sync && dir_fd >= 0)
        r = look_before(&arrival, dir_fd);
    if (r > 0) {
        transfer_advance(transfer, (int64_t)item->attrs.size);
        transfer_count(transfer, TRANSFER_UNCHANGED, there, 0);
    } else if (r == 0 && S_ISLNK(item->attrs.mode)) {
        r = copy_link(&arrival, dir_fd);
    } else if (r == 0 && transfer->options.is_dry) {
        transfer_advance(transfer, (int64_t)item->attrs.size);
        transfer_count(transfer, TRANSFER_COPIED, there, item->attrs.size);
    } else if (r == 0) {
        r = copy_file(&arrival, dir_fd);
    }
    if (r < 0)
        transfer_trouble(transfer, item->is_top, there != NULL ? there : item->name, r,
                         arrival.err.message[0] != '\0' ? arrival.err.message : NULL);
    item_free(item);
}

/* ---- Directories ---- */

/* Makes the directory of the item, unless it is there. 0 or negative with err. */
static int make_directory(struct transfer *transfer, const struct item *item, const char *there,
                          struct crosh_error *err)
{
    cleanup_close int dir_fd = tree_open(item->tree);
    cleanup_close int fd = -1;
    struct stat st;
    bool is_there;

    if (dir_fd < 0) {
        if (!may_be_missing(transfer))
            return crosh_error_errno(err, "cannot open its directory");
        transfer_count(transfer, TRANSFER_MADE, there, 0);
        return 0;
    }
    is_there = fstatat(dir_fd, item->name, &st, AT_SYMLINK_NOFOLLOW) == 0;
    if (is_there && !S_ISDIR(st.st_mode) && transfer->options.is_deleting) {
        if (!sync_delete_here(transfer, dir_fd, item->name, there))
            return -ECANCELED;
        is_there = false;
    }
    if (!transfer->options.is_dry) {
        fd = files_directory_make(dir_fd, item->name, err);
        if (fd < 0)
            return fd;
    } else if (is_there && !S_ISDIR(st.st_mode)) {
        return crosh_error_set(err, -ENOTDIR, "'%s' is there already and is not a directory",
                               item->name);
    }
    if (!is_there)
        transfer_count(transfer, TRANSFER_MADE, there, 0);
    return 0;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct sftp_entry *)a)->name, ((const struct sftp_entry *)b)->name);
}

static bool has_name(const struct sftp_entries *entries, const char *name)
{
    const struct sftp_entry key = {.name = (char *)name};

    return entries->count > 0 &&
           bsearch(&key, entries->entry, entries->count, sizeof(key), by_name) != NULL;
}

/* Removes here what the listing, which is sorted, does not have. */
static void delete_others(struct transfer *transfer, struct tree *tree,
                          const struct sftp_entries *entries)
{
    int fd = tree_open(tree);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    struct dirent *found;

    if (dir == NULL) {
        if (fd >= 0)
            (void)close(fd);
        if (!transfer->options.is_dry)
            transfer_trouble(transfer, false, tree->there, -errno, NULL);
        return;
    }
    while ((found = readdir(dir)) != NULL && !transfer_is_stopped(transfer)) {
        cleanup_free char *shown = path_join(tree->there, found->d_name);

        if (strcmp(found->d_name, ".") == 0 || strcmp(found->d_name, "..") == 0 ||
            has_name(entries, found->d_name) || files_is_part_name(found->d_name))
            continue;
        if (shown != NULL)
            (void)sync_delete_here(transfer, dirfd(dir), found->d_name, shown);
    }
    (void)closedir(dir);
}

static void start_entries(struct transfer *transfer, struct tree *tree,
                          const struct sftp_entries *entries)
{
    for (size_t i = 0; i < entries->count && !transfer_is_stopped(transfer); i++) {
        struct item *item = item_new(tree_ref(tree), entries->entry[i].name);
        cleanup_free char *there = NULL;

        if (item == NULL) {
            transfer_trouble(transfer, false, tree->there, -ENOMEM, NULL);
            return;
        }
        item->attrs = entries->entry[i].attrs;
        if ((item->attrs.flags & SFTP_ATTR_MODE) == 0 && (there = item_there(item)) != NULL)
            (void)sftp_lstat(transfer->client, there, &item->attrs);
        item_start(item, S_ISDIR(item->attrs.mode));
    }
}

/* Takes the tree's reference. */
static void get_contents(struct transfer *transfer, struct tree *tree, bool is_top)
{
    struct sftp_entries entries = {0};
    int r =
        tree->depth > FILES_DEPTH_MAX ? -ELOOP : sftp_list(transfer->client, tree->there, &entries);

    if (r < 0) {
        transfer_trouble(transfer, is_top, tree->there, r, NULL);
    } else {
        if (entries.count > 0)
            qsort(entries.entry, entries.count, sizeof(*entries.entry), by_name);
        if (entries.refused > 0)
            transfer_trouble(transfer, false, tree->there, -EILSEQ,
                             "has names that cannot be names here");
        if (transfer->options.is_deleting)
            delete_others(transfer, tree, &entries);
        start_entries(transfer, tree, &entries);
    }
    sftp_entries_free(&entries);
    tree_unref(tree);
}

void get_directory(void *opaque, struct job *job)
{
    struct transfer *transfer = opaque;
    struct item *item = (struct item *)job;
    struct crosh_error err = {0};
    struct tree *tree = NULL;
    int r = 0;

    if (!transfer_is_stopped(transfer) && item->name[0] == '\0') {
        tree = tree_ref(item->tree);
    } else if (!transfer_is_stopped(transfer)) {
        tree = tree_new(transfer, item->tree, item->name);
        r = tree == NULL ? -ENOMEM : make_directory(transfer, item, tree->there, &err);
        if (r < 0) {
            transfer_trouble(transfer, false, tree != NULL ? tree->there : item->name, r,
                             err.message[0] != '\0' ? err.message : NULL);
            tree_unref(move_ptr(tree));
        } else {
            tree->has_attributes = (item->attrs.flags & SFTP_ATTR_MODE) != 0;
            tree->attributes = (struct files_attributes){.mode = item->attrs.mode,
                                                         .mtime = {.tv_sec = item->attrs.mtime}};
        }
    }
    if (tree != NULL)
        get_contents(transfer, tree, item->is_top);
    item_free(item);
}

/* SPDX-License-Identifier: MIT */
/* Removes what a source does not have, with all that is in it. */
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

/* Names of directories that wait for those in front of them, in all levels of a tree, in bytes. */
#define HELD_MAX ((size_t)256 * 1024 * 1024)

static void closedir_p(DIR **dir)
{
    if (*dir != NULL)
        (void)closedir(*dir);
}

static bool trouble(struct transfer *transfer, const char *path, int code)
{
    transfer_trouble(transfer, false, path, code, NULL);
    return false;
}

static bool delete_contents_here(struct transfer *transfer, int dir_fd, const char *name,
                                 const char *shown, unsigned int depth);

static bool delete_entry_here(struct transfer *transfer, int dir_fd, const char *name,
                              const char *shown, unsigned int depth)
{
    struct stat st;

    if (transfer_is_stopped(transfer))
        return false;
    if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT || trouble(transfer, shown, -errno);
    if (S_ISDIR(st.st_mode) && !delete_contents_here(transfer, dir_fd, name, shown, depth))
        return false;
    if (!transfer->options.is_dry &&
        unlinkat(dir_fd, name, S_ISDIR(st.st_mode) ? AT_REMOVEDIR : 0) < 0)
        return trouble(transfer, shown, -errno);
    transfer_count(transfer, TRANSFER_DELETED, shown, 0);
    return true;
}

static bool delete_contents_here(struct transfer *transfer, int dir_fd, const char *name,
                                 const char *shown, unsigned int depth)
{
    int fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    cleanup(closedir_p) DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    struct dirent *found;
    bool is_gone = true;

    if (dir == NULL) {
        int code = -errno;

        if (fd >= 0)
            (void)close(fd);
        return trouble(transfer, shown, code);
    }
    if (depth >= FILES_DEPTH_MAX)
        return trouble(transfer, shown, -ELOOP);
    while ((found = readdir(dir)) != NULL) {
        cleanup_free char *inner = NULL;

        if (strcmp(found->d_name, ".") == 0 || strcmp(found->d_name, "..") == 0)
            continue;
        inner = path_join(shown, found->d_name);
        is_gone = inner != NULL &&
                  delete_entry_here(transfer, dirfd(dir), found->d_name, inner, depth + 1) &&
                  is_gone;
    }
    return is_gone;
}

bool sync_delete_here(struct transfer *transfer, int dir_fd, const char *name, const char *shown)
{
    return delete_entry_here(transfer, dir_fd, name, shown, 0);
}

static bool delete_entry_there(struct transfer *transfer, const char *path,
                               const struct sftp_attrs *attrs, unsigned int depth, size_t held);

/* Removes what is no directory; the directories are what stays of the listing. */
static bool delete_files_there(struct transfer *transfer, const char *path,
                               struct sftp_entries *entries)
{
    struct sftp_entry *less;
    size_t directories = 0;
    bool is_gone = true;

    for (size_t i = 0; i < entries->count; i++) {
        struct sftp_entry *entry = &entries->entry[i];
        cleanup_free char *inner = NULL;

        if (S_ISDIR(entry->attrs.mode)) {
            struct sftp_entry directory = *entry;

            entry->name = NULL;
            entries->entry[directories++] = directory;
            continue;
        }
        inner = path_join(path, entry->name);
        is_gone =
            inner != NULL && delete_entry_there(transfer, inner, &entry->attrs, 0, 0) && is_gone;
        free(move_ptr(entry->name));
    }
    entries->count = directories;
    less = reallocarray(entries->entry, directories > 0 ? directories : 1, sizeof(*less));
    if (less != NULL)
        entries->entry = less;
    return is_gone;
}

static bool delete_contents_there(struct transfer *transfer, const char *path, unsigned int depth,
                                  size_t held)
{
    struct sftp_entries entries = {0};
    bool is_gone;
    int r = depth >= FILES_DEPTH_MAX ? -ELOOP : sftp_list(transfer->client, path, &entries);

    if (r < 0)
        return trouble(transfer, path, r);
    is_gone = delete_files_there(transfer, path, &entries);
    for (size_t i = 0; i < entries.count; i++)
        held += sizeof(*entries.entry) + strlen(entries.entry[i].name) + 1;
    if (held > HELD_MAX)
        is_gone = trouble(transfer, path, -EOVERFLOW);
    for (size_t i = 0; i < entries.count && held <= HELD_MAX; i++) {
        cleanup_free char *inner = path_join(path, entries.entry[i].name);

        is_gone = inner != NULL &&
                  delete_entry_there(transfer, inner, &entries.entry[i].attrs, depth + 1, held) &&
                  is_gone;
    }
    sftp_entries_free(&entries);
    return is_gone;
}

static bool delete_entry_there(struct transfer *transfer, const char *path,
                               const struct sftp_attrs *attrs, unsigned int depth, size_t held)
{
    const bool is_directory = S_ISDIR(attrs->mode);
    int r = 0;

    if (transfer_is_stopped(transfer))
        return false;
    if (is_directory && !delete_contents_there(transfer, path, depth, held))
        return false;
    if (!transfer->options.is_dry)
        r = is_directory ? sftp_rmdir(transfer->client, path) : sftp_remove(transfer->client, path);
    if (r < 0)
        return trouble(transfer, path, r);
    transfer_count(transfer, TRANSFER_DELETED, path, 0);
    return true;
}

bool sync_delete_there(struct transfer *transfer, const char *path, const struct sftp_attrs *attrs)
{
    return delete_entry_there(transfer, path, attrs, 0, 0);
}

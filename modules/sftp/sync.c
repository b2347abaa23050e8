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

bool sync_delete_there(struct transfer *transfer, const char *path, const struct sftp_attrs *attrs,
                       unsigned int depth)
{
    struct sftp_entries entries = {0};
    bool is_directory = S_ISDIR(attrs->mode), is_gone = true;
    int r = 0;

    if (transfer_is_stopped(transfer))
        return false;
    if (is_directory && depth >= FILES_DEPTH_MAX)
        return trouble(transfer, path, -ELOOP);
    if (is_directory)
        r = sftp_list(transfer->client, path, &entries);
    if (r < 0)
        return trouble(transfer, path, r);
    for (size_t i = 0; i < entries.count; i++) {
        cleanup_free char *inner = path_join(path, entries.entry[i].name);

        is_gone = inner != NULL &&
                  sync_delete_there(transfer, inner, &entries.entry[i].attrs, depth + 1) && is_gone;
    }
    sftp_entries_free(&entries);
    if (!is_gone)
        return false;
    if (!transfer->options.is_dry)
        r = is_directory ? sftp_rmdir(transfer->client, path) : sftp_remove(transfer->client, path);
    if (r < 0)
        return trouble(transfer, path, r);
    transfer_count(transfer, TRANSFER_DELETED, path, 0);
    return true;
}

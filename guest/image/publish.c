/* SPDX-License-Identifier: MIT */
/* crosh-publish: puts a finished directory in the place of another, in one step, safe on disk. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <crosh/error.h>

#include "lib/base/cleanup.h"

static void close_directory(DIR **dir)
{
    if (*dir != NULL)
        (void)closedir(*dir);
}

/* Brings every file of a directory to the disk, so that they are there when their names are. */
static int sync_files(const char *path, struct crosh_error *err)
{
    cleanup(close_directory) DIR *dir = opendir(path);
    struct dirent *entry;

    if (dir == NULL)
        return crosh_error_errno(err, "%s", path);
    while ((entry = readdir(dir)) != NULL) {
        cleanup_close int fd = -1;

        if (entry->d_type != DT_REG)
            continue;
        fd = openat(dirfd(dir), entry->d_name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0 || fsync(fd) < 0)
            return crosh_error_errno(err, "%s/%s", path, entry->d_name);
    }
    return fsync(dirfd(dir)) < 0 ? crosh_error_errno(err, "%s", path) : 0;
}

/*
 * After success PLACE holds what NEW held; what PLACE held before, if anything,
 * is at NEW, for the caller to remove. No one ever finds PLACE missing.
 */
static int publish(const char *new, const char *place, struct crosh_error *err)
{
    cleanup_close int parent = -1;
    cleanup_free char *copy = NULL;

    if (sync_files(new, err) < 0)
        return err->code;
    if (renameat2(AT_FDCWD, new, AT_FDCWD, place, RENAME_NOREPLACE) < 0 &&
        (errno != EEXIST || renameat2(AT_FDCWD, new, AT_FDCWD, place, RENAME_EXCHANGE) < 0))
        return crosh_error_errno(err, "%s to %s", new, place);
    copy = strdup(place);
    if (copy == NULL)
        return crosh_error_errno(err, "%s", place);
    parent = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (parent < 0 || fsync(parent) < 0)
        return crosh_error_errno(err, "%s", place);
    return 0;
}

int main(int argc, char **argv)
{
    struct crosh_error err = {0};

    if (argc != 3)
        crosh_error_set(&err, CROSH_EUSAGE, "usage: crosh-publish NEW PLACE");
    else
        publish(argv[1], argv[2], &err);
    if (err.code != 0)
        (void)fprintf(stderr, "crosh-publish: %s\n", err.message);
    return crosh_error_exit_status(err.code);
}

/* SPDX-License-Identifier: MIT */
/* Implements the asker's part of a snapshot. */
#include "lib/vm/snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/cleanup.h"

/* In the order in which the launcher wants them. */
static const char *const names[] = {"state", "memory"};
enum { FILES = 2 };

/* Removes a directory with a snapshot's files in it, if there is one; nothing else. */
static void remove_snapshot(const char *path)
{
    cleanup_close int dir = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    for (int i = 0; dir >= 0 && i < FILES; i++)
        (void)unlinkat(dir, names[i], 0);
    (void)rmdir(path);
}

static int open_files(const char *path, int dir, int fd[FILES], struct crosh_error *err)
{
    for (int i = 0; i < FILES; i++) {
        fd[i] = openat(dir, names[i], O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (fd[i] < 0)
            return crosh_error_errno(err, "%s/%s", path, names[i]);
    }
    return 0;
}

/* Has the files filled. */
static int fill(struct crosh_control *control, const char *path, bool stop, int timeout_ms,
                struct crosh_error *err)
{
    cleanup_close int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    Control__SnapshotRequest snapshot = CONTROL__SNAPSHOT_REQUEST__INIT;
    Control__Request request = CONTROL__REQUEST__INIT;
    Control__Response *response = NULL;
    int fd[FILES] = {-1, -1};
    int code;

    if (dir < 0)
        return crosh_error_errno(err, "%s", path);
    code = open_files(path, dir, fd, err);
    if (code == 0) {
        snapshot.stop = stop;
        request.op_case = CONTROL__REQUEST__OP_SNAPSHOT;
        request.snapshot = &snapshot;
        code = crosh_priv_control_call(control, &request, fd, FILES, timeout_ms, &response, err);
        crosh_priv_control_response_free(response);
    }
    for (int i = 0; i < FILES; i++)
        if (fd[i] >= 0)
            (void)close(fd[i]);
    /* The files' names, too. */
    if (code == 0 && fsync(dir) < 0)
        code = crosh_error_errno(err, "%s", path);
    return code;
}

/* Makes the change of names durable. */
static int sync_parent(const char *path, struct crosh_error *err)
{
    cleanup_free char *parent = strdup(path);
    cleanup_close int fd = -1;
    char *slash;

    if (parent == NULL)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    slash = strrchr(parent, '/');
    if (slash != NULL)
        slash[slash == parent ? 1 : 0] = '\0';
    fd = open(slash != NULL ? parent : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 || fsync(fd) < 0 ? crosh_error_errno(err, "%s", path) : 0;
}

/* Puts the new directory where the old one is, or none. */
static int put_in_place(const char *made, const char *path, struct crosh_error *err)
{
    if (renameat2(AT_FDCWD, made, AT_FDCWD, path, RENAME_NOREPLACE) == 0)
        return sync_parent(path, err);
    if (errno != EEXIST || renameat2(AT_FDCWD, made, AT_FDCWD, path, RENAME_EXCHANGE) < 0)
        return crosh_error_errno(err, "%s", path);
    remove_snapshot(made); /* the old one by now */
    return sync_parent(path, err);
}

int crosh_priv_vm_snapshot(struct crosh_control *control, const char *path, bool stop,
                           int timeout_ms, struct crosh_error *err)
{
    cleanup_free char *made = NULL;
    int code;

    if (asprintf(&made, "%s.new", path) < 0) {
        made = NULL;
        return crosh_error_set(err, -ENOMEM, "out of memory");
    }
    remove_snapshot(made); /* one that was interrupted */
    if (mkdir(made, 0700) < 0)
        return crosh_error_errno(err, "%s", made);
    code = fill(control, made, stop, timeout_ms, err);
    if (code == 0)
        code = put_in_place(made, path, err);
    if (code < 0)
        remove_snapshot(made);
    return code;
}

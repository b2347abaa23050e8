/* SPDX-License-Identifier: MIT */
/* Makes and grows data disks. */
#include "modules/vmc/data-disk.h"

#include <crosh/vm.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "modules/vmc/builder.h"

/* Opens the file, which is made when it is not there, and sees to its size. The descriptor. */
static int prepare(const char *name, const char *file, uint64_t bytes, bool is_asked, uint64_t *had,
                   struct crosh_error *err)
{
    cleanup_close int fd = open(file, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    struct stat st;

    if (fd < 0 || fstat(fd, &st) < 0)
        return crosh_error_errno(err, "the data disk %s", file);
    if (!S_ISREG(st.st_mode))
        return crosh_error_set(err, -EINVAL, "the data disk %s is not a file", file);
    *had = (uint64_t)st.st_size;
    if (bytes == 0 && st.st_size == 0)
        bytes = DATA_DISK_DEFAULT_BYTES;
    /* It was made larger since the configuration was written. */
    if (!is_asked && bytes < (uint64_t)st.st_size)
        bytes = 0;
    if (bytes != 0 && bytes < (uint64_t)st.st_size)
        return crosh_error_set(err, CROSH_EUSAGE,
                               "the data disk of VM %s has %lld MiB, and cannot become smaller",
                               name, (long long)(st.st_size >> 20));
    if (bytes > (uint64_t)st.st_size && ftruncate(fd, (off_t)bytes) < 0)
        return crosh_error_errno(err, "cannot make the data disk %s so large", file);
    return move_fd(fd);
}

static char *disk_path(const char *name, const char *suffix)
{
    cleanup_free char *dir = crosh_vm_dir(name);
    char *path = NULL;

    if (dir == NULL || asprintf(&path, "%s/data.img%s", dir, suffix) < 0)
        return NULL;
    return path;
}

bool data_disk_is_there(const char *name)
{
    cleanup_free char *file = disk_path(name, "");

    return file != NULL && access(file, F_OK) == 0;
}

int data_disk_prepare(const char *name, uint64_t bytes, bool is_asked, char **path,
                      struct crosh_error *err)
{
    cleanup_free char *file = disk_path(name, "");
    cleanup_close int fd = -1;
    uint64_t had;

    if (file == NULL)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    fd = prepare(name, file, bytes, is_asked, &had, err);
    if (fd < 0)
        return fd;
    *path = move_ptr(file);
    return 0;
}

/* Runs a program of e2fsprogs on the file. 0 or negative. */
static int run_on(struct crosh_context *ctx, struct progress *progress, const char *script,
                  const char *file, struct crosh_error *err)
{
    const char *argv[] = {"/bin/sh", "-c", script, "sh", file, NULL};
    struct builder_words words = {0};
    int rc = builder_run(ctx, progress, argv, &words, err);

    if (rc <= 0)
        return rc;
    progress_clear(progress);
    crosh_error_set(err, -EIO, "cannot prepare the data disk %s: %s", file,
                    words.other[0] != '\0' ? words.other : "e2fsprogs failed");
    return crosh_error_hint(err, "is e2fsprogs installed, and is there room?");
}

int data_disk_prepare_ext4(struct crosh_context *ctx, struct progress *progress, const char *name,
                           uint64_t bytes, bool is_asked, char **path, struct crosh_error *err)
{
    static const char format[] = "PATH=$PATH:/usr/sbin:/sbin; exec mke2fs -q -F -t ext4 "
                                 "-E lazy_itable_init=1,root_owner=0:0 \"$1\" 2>&1";
    static const char grow[] = "PATH=$PATH:/usr/sbin:/sbin; e2fsck -fp \"$1\" >/dev/null || "
                               "[ $? -lt 4 ] && exec resize2fs \"$1\" 2>&1";
    cleanup_free char *file = disk_path(name, "");
    cleanup_free char *new = disk_path(name, ".new");
    cleanup_close int fd = -1;
    uint64_t had = 0;
    int rc = 0;

    if (file == NULL || new == NULL)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    if (access(file, F_OK) == 0) {
        fd = prepare(name, file, bytes, is_asked, &had, err);
        if (fd >= 0 && bytes > had)
            rc = run_on(ctx, progress, grow, file, err);
    } else {
        /* Under another name until it is whole: who was killed here begins anew. */
        (void)unlink(new);
        fd = prepare(name, new, bytes, is_asked, &had, err);
        if (fd >= 0)
            rc = run_on(ctx, progress, format, new, err);
        if (fd >= 0 && rc == 0 && rename(new, file) < 0)
            rc = crosh_error_errno(err, "cannot make %s", file);
    }
    if (fd < 0 || rc < 0)
        return fd < 0 ? fd : rc;
    *path = move_ptr(file);
    return 0;
}

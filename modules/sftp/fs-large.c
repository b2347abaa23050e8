/* SPDX-License-Identifier: MIT */
/* Tells programs of writes beyond the server's largest file when they are made. */

/*
 * Theory of operation
 *
 * Writes are sent behind the program's back, and servers have one code for most errors: a write at
 * 20 TiB of an ext4 would be told by the next call, as an I/O error. No file system's largest
 * file is smaller than 2 GiB. So a write is waited for when it leaps over a hole to an end beyond
 * that and a good part beyond what the server has taken of this file before; those are few, however
 * a sparse file is written. What goes on without a hole is not waited for: its error comes when
 * the next call or close tells it.
 */
#include "modules/sftp/fs-large.h"

#include <errno.h>
#include <sys/statvfs.h>

/* All file systems have room for a file of that size. */
#define CERTAIN (UINT64_C(1) << 31)
/* Bytes that a program which writes in order does not leave out. */
#define LEAP (UINT64_C(1) << 20)

static bool is_leap(struct file *file, uint64_t offset, uint64_t end)
{
    const uint64_t taken = atomic_load(&file->largest_end);
    uint64_t size;

    if (end <= CERTAIN || end <= taken + taken / 4)
        return false;
    pthread_mutex_lock(&file->fs->nodes.lock);
    size = file->node->attrs.size;
    pthread_mutex_unlock(&file->fs->nodes.lock);
    return offset > size + LEAP;
}

/* Whether the server says that it has room, so that this is not what an error was about. */
static bool has_room(struct fs *fs)
{
    const char *path = fs->prefix[0] != '\0' ? fs->prefix : "/";
    struct statvfs vfs;
    int r;

    ON_SERVER(fs, true, r, sftp_statvfs(client, path, &vfs));
    return r == 0 && vfs.f_bavail > 0;
}

int large_write(struct file *file, uint64_t offset, const void *buf, size_t size)
{
    const uint64_t end = offset + size;
    int r;

    if (!is_leap(file, offset, end))
        return file_write(file, offset, buf, size);
    /* An error of what was written before is not this one's. */
    r = file_await(file);
    if (r < 0)
        return r;
    atomic_store(&file->is_awaited, true);
    r = file_write(file, offset, buf, size);
    if (r == 0)
        r = file_await(file);
    atomic_store(&file->is_awaited, false);
    if ((r == -EIO || r == -EINVAL) && has_room(file->fs))
        r = -EFBIG;
    if (r == 0)
        atomic_store(&file->largest_end, end);
    return r;
}

int large_resize_error(int error, uint64_t before, uint64_t after)
{
    const bool is_refused = error == -EIO || error == -EINVAL;

    return is_refused && after > before && after > CERTAIN ? -EFBIG : error;
}

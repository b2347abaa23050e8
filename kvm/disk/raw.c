/* SPDX-License-Identifier: MIT */
/* Implements raw disk images. */
#include "kvm/disk/raw.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kvm/kept-files.h"
#include "lib/base/cleanup.h"

#define CHUNK_BYTES ((size_t)8 << 20)

/* Open file description locks: a process-owned lock would vanish at any close of the file. */
static int lock(int fd, const char *path, bool read_only, struct crosh_error *err)
{
    struct flock whole = {.l_type = read_only ? F_RDLCK : F_WRLCK, .l_whence = SEEK_SET};

    if (fcntl(fd, F_OFD_SETLK, &whole) == 0)
        return 0;
    if (errno != EAGAIN && errno != EACCES)
        return crosh_error_errno(err, "disk %s: lock", path);
    crosh_error_set(err, -EBUSY, "disk %s is in use by another VM", path);
    crosh_error_hint(err, "stop that VM first, or use a copy of the disk");
    return -EBUSY;
}

int raw_disk_open(struct raw_disk *disk, const char *path, bool read_only, struct crosh_error *err)
{
    cleanup_close int fd =
        kept_files_open(path, (read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    struct stat st;
    uint64_t size;
    int code;

    if (fd < 0 || fstat(fd, &st) < 0)
        return crosh_error_errno(err, "disk %s", path);
    if (S_ISREG(st.st_mode))
        size = (uint64_t)st.st_size;
    else if (!S_ISBLK(st.st_mode))
        return crosh_error_set(err, -EINVAL, "disk %s: neither a file nor a block device", path);
    else if (ioctl(fd, BLKGETSIZE64, &size) < 0)
        return crosh_error_errno(err, "disk %s", path);
    if (size < DISK_SECTOR)
        return crosh_error_set(err, -EINVAL, "disk %s: it is empty", path);
    code = lock(fd, path, read_only, err);
    if (code < 0)
        return code;
    *disk = (struct raw_disk){
        .fd = move_fd(fd), .is_read_only = read_only, .sectors = size / DISK_SECTOR};
    return 0;
}

void raw_disk_close(struct raw_disk *disk)
{
    if (disk->fd >= 0)
        (void)close(disk->fd);
    disk->fd = -1;
}

bool raw_disk_has(const struct raw_disk *disk, uint64_t sector, uint64_t count)
{
    return sector <= disk->sectors && count <= disk->sectors - sector;
}

/* Drops the first done bytes. */
static void advance(struct iovec **iov, int *count, size_t done)
{
    while (*count > 0 && done >= (*iov)->iov_len) {
        done -= (*iov)->iov_len;
        (*iov)++;
        (*count)--;
    }
    if (*count > 0) {
        (*iov)->iov_base = (uint8_t *)(*iov)->iov_base + done;
        (*iov)->iov_len -= done;
    }
}

/* As much of iov as one call may move: it bounds how long a cancelled transfer goes on. */
static int first_chunk(const struct iovec *iov, int count, struct iovec *part)
{
    size_t bytes = 0;
    int n = 0;

    while (n < count && iov[n].iov_len <= CHUNK_BYTES - bytes)
        bytes += iov[n++].iov_len;
    *part = (struct iovec){.iov_base = iov->iov_base, .iov_len = CHUNK_BYTES};
    return n; /* 0: the first is too long, and part holds its beginning */
}

typedef ssize_t transfer_fn(int fd, const struct iovec *iov, int count, off_t offset);

static int transfer(const struct raw_disk *disk, transfer_fn *fn, uint64_t sector,
                    struct iovec *iov, int count)
{
    off_t offset = (off_t)(sector * DISK_SECTOR);

    advance(&iov, &count, 0);
    while (count > 0) {
        struct iovec part;
        int n = first_chunk(iov, count, &part);
        ssize_t done;

        if (atomic_load(&disk->is_cancelled))
            return -ECANCELED;
        done = fn(disk->fd, n > 0 ? iov : &part, n > 0 ? n : 1, offset);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return -errno;
        if (done == 0)
            return -EIO; /* the file shrank under us */
        offset += done;
        advance(&iov, &count, (size_t)done);
    }
    return 0;
}

int raw_disk_read(const struct raw_disk *disk, uint64_t sector, struct iovec *iov, int count)
{
    return transfer(disk, preadv, sector, iov, count);
}

int raw_disk_write(const struct raw_disk *disk, uint64_t sector, struct iovec *iov, int count)
{
    return disk->is_read_only ? -EROFS : transfer(disk, pwritev, sector, iov, count);
}

int raw_disk_flush(const struct raw_disk *disk)
{
    return fdatasync(disk->fd) < 0 ? -errno : 0;
}

static int write_zeroes(const struct raw_disk *disk, uint64_t sector, uint64_t count)
{
    static const uint8_t zeroes[65536];

    while (count > 0) {
        uint64_t now = count < sizeof(zeroes) / DISK_SECTOR ? count : sizeof(zeroes) / DISK_SECTOR;
        struct iovec iov = {.iov_base = (void *)zeroes, .iov_len = now * DISK_SECTOR};
        int code = raw_disk_write(disk, sector, &iov, 1);

        if (code < 0)
            return code;
        sector += now;
        count -= now;
    }
    return 0;
}

int raw_disk_zero(const struct raw_disk *disk, uint64_t sector, uint64_t count, bool keep_space)
{
    int mode = (keep_space ? FALLOC_FL_ZERO_RANGE : FALLOC_FL_PUNCH_HOLE) | FALLOC_FL_KEEP_SIZE;

    if (disk->is_read_only)
        return -EROFS;
    if (count == 0 ||
        fallocate(disk->fd, mode, (off_t)(sector * DISK_SECTOR), (off_t)(count * DISK_SECTOR)) == 0)
        return 0;
    /* Not every file system can. */
    return errno == EOPNOTSUPP ? write_zeroes(disk, sector, count) : -errno;
}

int raw_disk_discard(const struct raw_disk *disk, uint64_t sector, uint64_t count)
{
    if (disk->is_read_only)
        return -EROFS;
    if (count == 0 ||
        fallocate(disk->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                  (off_t)(sector * DISK_SECTOR), (off_t)(count * DISK_SECTOR)) == 0 ||
        errno == EOPNOTSUPP)
        return 0; /* it is advice: where it cannot be taken, nothing is wrong */
    return -errno;
}

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
#include <sys/statvfs.h>
#include <unistd.h>

#include "kvm/kept-files.h"
#include "lib/base/cleanup.h"

#define CHUNK_BYTES ((size_t)8 << 20)
#define ROOM_BYTES  (1 << 20)

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

/* The file's size in bytes; negative with err filled when it has none. */
static int64_t size_of(int fd, const char *path, struct crosh_error *err)
{
    struct stat st;
    uint64_t size;

    if (fstat(fd, &st) < 0)
        return crosh_error_errno(err, "disk %s", path);
    if (S_ISREG(st.st_mode))
        return st.st_size;
    if (!S_ISBLK(st.st_mode))
        return crosh_error_set(err, -EINVAL, "disk %s: neither a file nor a block device", path);
    if (ioctl(fd, BLKGETSIZE64, &size) < 0)
        return crosh_error_errno(err, "disk %s", path);
    return (int64_t)size;
}

int raw_disk_adopt(struct raw_disk *disk, int fd, const char *path, bool read_only,
                   struct crosh_error *err)
{
    cleanup_close int own = fd;
    int64_t size = size_of(fd, path, err);
    int flags = fcntl(fd, F_GETFL);
    int code;

    if (size < 0)
        return (int)size;
    if (size < DISK_SECTOR)
        return crosh_error_set(err, -EINVAL, "disk %s: it is empty", path);
    /* A descriptor for paths alone (O_PATH) can do neither. */
    if (flags < 0 || (flags & O_PATH) != 0 || (flags & O_ACCMODE) == O_WRONLY ||
        (!read_only && (flags & O_ACCMODE) != O_RDWR))
        return crosh_error_set(err, -EACCES, "disk %s: it is not open for %s", path,
                               read_only ? "reading" : "reading and writing");
    code = lock(fd, path, read_only, err);
    if (code < 0)
        return code;
    *disk = (struct raw_disk){
        .fd = move_fd(own), .is_read_only = read_only, .sectors = (uint64_t)size / DISK_SECTOR};
    return 0;
}

int raw_disk_open(struct raw_disk *disk, const char *path, bool read_only, struct crosh_error *err)
{
    int fd =
        kept_files_open(path, (read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

    if (fd < 0)
        return crosh_error_errno(err, "disk %s", path);
    return raw_disk_adopt(disk, fd, path, read_only, err);
}

void raw_disk_close(struct raw_disk *disk)
{
    if (disk->fd >= 0)
        (void)close(disk->fd);
    disk->fd = -1;
}

bool raw_disk_has(const struct raw_disk *disk, uint64_t sector, uint64_t count)
{
    uint64_t sectors = atomic_load_explicit(&disk->sectors, memory_order_relaxed);

    return sector <= sectors && count <= sectors - sector;
}

void disk_io_skip(struct disk_io *io, size_t bytes)
{
    while (io->count > 0 && bytes >= io->iov->iov_len) {
        bytes -= io->iov->iov_len;
        io->iov++;
        io->count--;
    }
    if (io->count > 0) {
        io->iov->iov_base = (uint8_t *)io->iov->iov_base + bytes;
        io->iov->iov_len -= bytes;
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

static ssize_t read_cached(int fd, const struct iovec *iov, int count, off_t offset)
{
    return preadv2(fd, iov, count, offset, RWF_NOWAIT);
}

static int transfer(const struct raw_disk *disk, transfer_fn *fn, struct disk_io *io)
{
    disk_io_skip(io, 0);
    while (io->count > 0) {
        struct iovec part;
        int n = first_chunk(io->iov, io->count, &part);
        ssize_t done;

        if (atomic_load_explicit(&disk->is_cancelled, memory_order_relaxed))
            return -ECANCELED;
        done = fn(disk->fd, n > 0 ? io->iov : &part, n > 0 ? n : 1, io->offset);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return -errno;
        if (done == 0)
            return -EIO; /* the file shrank under us */
        io->offset += done;
        disk_io_skip(io, (size_t)done);
    }
    return 0;
}

int raw_disk_read(const struct raw_disk *disk, struct disk_io *io)
{
    return transfer(disk, preadv, io);
}

int raw_disk_read_cached(struct raw_disk *disk, struct disk_io *io)
{
    int code;

    if (atomic_load_explicit(&disk->is_nowait_absent, memory_order_relaxed))
        return -EAGAIN;
    code = transfer(disk, read_cached, io);
    if (code == -EOPNOTSUPP || code == -ENOSYS) {
        atomic_store(&disk->is_nowait_absent, true);
        code = -EAGAIN;
    }
    return code;
}

int raw_disk_write(const struct raw_disk *disk, struct disk_io *io)
{
    return disk->is_read_only ? -EROFS : transfer(disk, pwritev, io);
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
        struct disk_io io = {.iov = &iov, .count = 1, .offset = (off_t)(sector * DISK_SECTOR)};
        int code = raw_disk_write(disk, &io);

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

int raw_disk_resize(struct raw_disk *disk, uint64_t bytes, struct crosh_error *err)
{
    int64_t size = size_of(disk->fd, "file", err);
    uint64_t sectors;

    if (size < 0)
        return (int)size;
    if (bytes != 0 && bytes != (uint64_t)size) {
        if (bytes > INT64_MAX || bytes % DISK_SECTOR != 0)
            return crosh_error_set(err, -EINVAL, "a disk's size is a multiple of %u bytes",
                                   DISK_SECTOR);
        if (bytes < (uint64_t)size)
            return crosh_error_set(err, -EINVAL,
                                   "a disk in use can only grow: it has %lld bytes already",
                                   (long long)size);
        if (disk->is_read_only)
            return crosh_error_set(err, -EROFS, "the disk is read-only");
        if (ftruncate(disk->fd, (off_t)bytes) < 0)
            return crosh_error_errno(err, "the disk cannot be made larger");
        size = (int64_t)bytes;
    }
    sectors = (uint64_t)size / DISK_SECTOR;
    return atomic_exchange(&disk->sectors, sectors) != sectors;
}

int raw_disk_reserve(const struct raw_disk *disk, off_t offset, off_t bytes)
{
    struct statvfs fs;

    if (bytes > 0) {
        if (fallocate(disk->fd, FALLOC_FL_KEEP_SIZE, offset, bytes) == 0)
            return 0;
        if (errno == ENOSPC || errno == EDQUOT)
            return -errno;
    }
    /* Where room cannot be reserved, some free space has to do. */
    if (bytes < ROOM_BYTES)
        bytes = ROOM_BYTES;
    if (fstatvfs(disk->fd, &fs) == 0 && fs.f_bavail * fs.f_frsize < (uint64_t)bytes)
        return -ENOSPC;
    return 0;
}

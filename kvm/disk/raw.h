/* SPDX-License-Identifier: MIT */
/* Disk images: a raw file, locked for as long as it is open, read and written in sectors. */
#ifndef KVM_DISK_RAW_H
#define KVM_DISK_RAW_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include <crosh/error.h>

#define DISK_SECTOR 512u

/* Opened and closed by one thread; in between all functions may be called from any. */
struct raw_disk {
    int fd; /* -1: not open */
    bool is_read_only;
    atomic_bool is_cancelled;     /* set from any thread: transfers end soon, with -ECANCELED */
    atomic_bool is_nowait_absent; /* the file system cannot read without waiting */
    _Atomic uint64_t sectors;     /* whole ones */
};

/* A transfer on its way: what is left of it. */
struct disk_io {
    struct iovec *iov; /* consumed */
    int count;
    off_t offset; /* bytes */
};

/*
 * Opens path, a regular file or a block device. Writers lock it against all
 * others, readers against writers: -EBUSY when another VM has it.
 */
int raw_disk_open(struct raw_disk *disk, const char *path, bool read_only, struct crosh_error *err);
/* The same with a descriptor that is open already, the disk's from then on, also on failure.
   path: for messages. -EACCES when it is not open for what is asked. */
int raw_disk_adopt(struct raw_disk *disk, int fd, const char *path, bool read_only,
                   struct crosh_error *err);
void raw_disk_close(struct raw_disk *disk);

/* Whether count sectors at sector lie on the disk. */
bool raw_disk_has(const struct raw_disk *disk, uint64_t sector, uint64_t count);

/* Drops the first bytes of a transfer's buffers. */
void disk_io_skip(struct disk_io *io, size_t bytes);

/*
 * Transfers of whole sectors that raw_disk_has() granted. 0, or a negative errno
 * with io telling what has not been transferred: it may be called again with it.
 */
int raw_disk_read(const struct raw_disk *disk, struct disk_io *io);
/* Only what needs no waiting for: -EAGAIN when there is more in io. */
int raw_disk_read_cached(struct raw_disk *disk, struct disk_io *io);
int raw_disk_write(const struct raw_disk *disk, struct disk_io *io);
/* All that was written before the call is durable after it. */
int raw_disk_flush(const struct raw_disk *disk);
/* The sectors read as zeroes afterwards; keep_space: their room on the host stays reserved. */
int raw_disk_zero(const struct raw_disk *disk, uint64_t sector, uint64_t count, bool keep_space);
/* The sectors' contents matter no longer. */
int raw_disk_discard(const struct raw_disk *disk, uint64_t sector, uint64_t count);

/*
 * Looks how large the file is now. With bytes != 0, makes it so large first (a
 * multiple of DISK_SECTOR; not smaller; not a block device). 1 when the size
 * changed, 0 when not, or negative with err filled.
 */
int raw_disk_resize(struct raw_disk *disk, uint64_t bytes, struct crosh_error *err);
/* Whether a write there (0 bytes: of metadata) would find room on the host, which is reserved
   where that can be done. 0, -ENOSPC or -EDQUOT. */
int raw_disk_reserve(const struct raw_disk *disk, off_t offset, off_t bytes);

#endif

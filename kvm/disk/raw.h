/* SPDX-License-Identifier: MIT */
/* Disk images: a raw file, locked for as long as it is open, read and written in sectors. */
#ifndef KVM_DISK_RAW_H
#define KVM_DISK_RAW_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include <crosh/error.h>

#define DISK_SECTOR 512u

struct raw_disk {
    int fd; /* -1: not open */
    bool is_read_only;
    atomic_bool is_cancelled; /* set from any thread: transfers end soon, with -ECANCELED */
    uint64_t sectors;         /* whole ones */
};

/*
 * Opens path, a regular file or a block device. Writers lock it against all
 * others, readers against writers: -EBUSY when another VM has it.
 */
int raw_disk_open(struct raw_disk *disk, const char *path, bool read_only, struct crosh_error *err);
void raw_disk_close(struct raw_disk *disk);

/* Whether count sectors at sector lie on the disk. */
bool raw_disk_has(const struct raw_disk *disk, uint64_t sector, uint64_t count);

/*
 * Transfers of whole sectors that raw_disk_has() granted. iov is consumed. 0 or a
 * negative errno.
 */
int raw_disk_read(const struct raw_disk *disk, uint64_t sector, struct iovec *iov, int count);
int raw_disk_write(const struct raw_disk *disk, uint64_t sector, struct iovec *iov, int count);
int raw_disk_flush(const struct raw_disk *disk);
/* The sectors read as zeroes afterwards; keep_space: their room on the host stays reserved. */
int raw_disk_zero(const struct raw_disk *disk, uint64_t sector, uint64_t count, bool keep_space);
/* The sectors' contents matter no longer. */
int raw_disk_discard(const struct raw_disk *disk, uint64_t sector, uint64_t count);

#endif

/* SPDX-License-Identifier: MIT */
/* What reading a snapshot and verifying it have in common. */
#ifndef KVM_SNAPSHOT_LOAD_H
#define KVM_SNAPSHOT_LOAD_H

#include <stddef.h>
#include <sys/types.h>

#include <crosh/error.h>

#include "kvm/snapshot/snapshot.h"

/* Opens both files and decodes the state; each is whole and they belong together. What there is
   by then is the caller's to snapshot_unload(), also on failure. */
int snapshot_open(struct snapshot *snapshot, const char *path, struct crosh_error *err);

/* Reads exactly size bytes; -EIO. */
int snapshot_read_at(int fd, void *data, size_t size, off_t at);

#endif

/* SPDX-License-Identifier: MIT */
/* A VM's data disk: the file beside its configuration that holds what outlives its image. */
#ifndef VMC_DATA_DISK_H
#define VMC_DATA_DISK_H

#include <stdbool.h>
#include <stdint.h>

#include <crosh/command.h>
#include <crosh/error.h>

#include "modules/vmc/progress.h"

/* Sparse: it takes what is written to it. */
#define DATA_DISK_DEFAULT_BYTES (UINT64_C(32) << 30)
#define DATA_DISK_MIN_BYTES     (UINT64_C(1) << 30)

/* Whether the VM has one. */
bool data_disk_is_there(const char *name);

/*
 * Makes the disk when the VM has none, and makes it larger when bytes (0: the default, for a new
 * one) is more than it has; less is refused if it is_asked for, and else ignored. The guest formats
 * it and grows its file system at the next boot. *path is the caller's. The VM is locked and does
 * not run.
 */
int data_disk_prepare(const char *name, uint64_t bytes, bool is_asked, char **path,
                      struct crosh_error *err);

/*
 * The same for a disk that is to hold ext4 when the guest boots: it is formatted, and its file
 * system grown, here, by e2fsprogs. -EINTR when the user ended it.
 */
int data_disk_prepare_ext4(struct crosh_context *ctx, struct progress *progress, const char *name,
                           uint64_t bytes, bool is_asked, char **path, struct crosh_error *err);

#endif

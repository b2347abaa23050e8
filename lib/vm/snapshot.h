/* SPDX-License-Identifier: MIT */
/* The asker's part of a snapshot: a directory with its files, which the launcher fills. */
#ifndef CROSH_VM_SNAPSHOT_H
#define CROSH_VM_SNAPSHOT_H

#include <stdbool.h>

#include <crosh/error.h>

#include "lib/vm/control-client.h"

/*
 * Has the launcher at the other end of control take a snapshot into the directory
 * path, which is new or holds an older snapshot. That one stays as it is until the new
 * one is whole and on the disk, and is then replaced in one step. stop: the VM ends
 * after that. Waits at most timeout_ms.
 */
int crosh_priv_vm_snapshot(struct crosh_control *control, const char *path, bool stop,
                           int timeout_ms, struct crosh_error *err);

#endif

/* SPDX-License-Identifier: MIT */
/* The control protocol's requests about the disks of a VM that runs, from the client's end. */
#ifndef CROSH_VM_CONTROL_DISK_H
#define CROSH_VM_CONTROL_DISK_H

#include "lib/vm/control-client.h"

/* Bounds on what a disk does in a second, and at once after a rest; 0: none, a second's worth. */
struct crosh_disk_limits {
    uint64_t bps, bps_burst;   /* bytes */
    uint64_t iops, iops_burst; /* operations */
};

/*
 * Each waits for the response, at most timeout_ms: 0, or the launcher's error (a
 * negative code) with err filled. Disks are named as the list names them.
 */

/* The list is (*response)->disks; freed by crosh_priv_control_response_free(). */
int crosh_priv_control_disk_list(struct crosh_control *control, int timeout_ms,
                                 Control__Response **response, struct crosh_error *err);
/* name NULL: the launcher chooses. path: to show. fd stays the caller's. */
int crosh_priv_control_disk_attach(struct crosh_control *control, const char *name,
                                   const char *path, int fd, bool read_only,
                                   const struct crosh_disk_limits *limits, int timeout_ms,
                                   struct crosh_error *err);
/* guest_ms: how long the guest may take to give it back (-ETIMEDOUT), beside timeout_ms. */
int crosh_priv_control_disk_detach(struct crosh_control *control, const char *name, int guest_ms,
                                   int timeout_ms, struct crosh_error *err);
/* bytes 0: what the file has by now. */
int crosh_priv_control_disk_resize(struct crosh_control *control, const char *name, uint64_t bytes,
                                   int timeout_ms, struct crosh_error *err);
int crosh_priv_control_disk_limit(struct crosh_control *control, const char *name,
                                  const struct crosh_disk_limits *limits, int timeout_ms,
                                  struct crosh_error *err);

#endif

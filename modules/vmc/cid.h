/* SPDX-License-Identifier: MIT */
/* Context ids: every running VM of a user has one of its own. */
#ifndef VMC_CID_H
#define VMC_CID_H

#include <stdint.h>

#include <crosh/error.h>

/* 0 to 2 are the hypervisor, loopback and the host. */
#define CID_FIRST 3u

/*
 * Chooses the lowest id that no running or starting VM of this user holds, and
 * notes it as name's. The caller holds name's operation lock, so that the note
 * counts from this moment on until the VM has ended.
 */
int cid_reserve(const char *name, uint32_t *cid, struct crosh_error *err);

#endif

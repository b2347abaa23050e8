/* SPDX-License-Identifier: MIT */
/* Chooses between KVM and software emulation for this host. */
#ifndef KVM_BACKEND_CHOOSE_H
#define KVM_BACKEND_CHOOSE_H

#include "kvm/launcher.h"

/*
 * The backend to use, or NULL with err filled. When it is not the first choice,
 * notice (size bytes; else empty) says in one line why, and what would mend it.
 */
const struct machine_backend *backend_choose(enum launcher_accel accel, char *notice, size_t size,
                                             struct crosh_error *err);

#endif

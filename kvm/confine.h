/* SPDX-License-Identifier: MIT */
/* The launcher's way into its sandbox. */
#ifndef KVM_CONFINE_H
#define KVM_CONFINE_H

#include "kvm/launcher.h"

/*
 * Before the first machine is built, while there is one thread: on KVM the whole
 * sandbox. A launcher of QEMU runs a program, at a reboot again, and gets only what
 * that program can live with.
 */
int confine(const struct launcher_config *config, const struct machine_backend *backend,
            struct crosh_error *err);

#endif

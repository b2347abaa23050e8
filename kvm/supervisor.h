/* SPDX-License-Identifier: MIT */
/* The process that stands for a VM outside: makes the launcher, waits for it, notes its end. */
#ifndef KVM_SUPERVISOR_H
#define KVM_SUPERVISOR_H

#include "kvm/launcher.h"

enum supervisor_role {
    SUPERVISOR_LAUNCHER, /* this is the new process: be the launcher */
    SUPERVISOR_DONE,     /* this is the old one, or a new one of no use: exit with *status */
};

/*
 * Splits the process, which holds the VM's locks, in two, and fills in what the launcher has
 * to know of that (config's pid and leave). Each ends with the other. The supervisor passes
 * SIGTERM and SIGINT on, and exits as the launcher did; of one that was ended by a signal it
 * leaves word in the runtime directory (reason "crash", status 11).
 */
enum supervisor_role supervise(struct launcher_config *config, int *status);

#endif

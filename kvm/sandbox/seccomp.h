/* SPDX-License-Identifier: MIT */
/* The system calls that each kind of thread has. */
#ifndef KVM_SANDBOX_SECCOMP_H
#define KVM_SANDBOX_SECCOMP_H

#include <linux/filter.h>
#include <sys/types.h>

#include "kvm/sandbox/sandbox.h"

struct seccomp_filter {
    struct sock_fprog program;
};

/* Compiles the list of a kind of thread; extras: a set of SANDBOX_*. It is kept until the process
   ends. */
int seccomp_filter_init(struct seccomp_filter *filter, enum sandbox_thread thread,
                        unsigned int extras);
/* Puts it on the calling thread. Needs no_new_privs. */
int seccomp_filter_apply(const struct seccomp_filter *filter);
/* Leaves the process, and all that it becomes and makes, what a launcher and its emulator need. */
int seccomp_enter_emulator(void);
/* Leaves the process, a supervisor, what it needs to wait for child, signal it and note its end. */
int seccomp_enter_supervisor(pid_t child);

#endif

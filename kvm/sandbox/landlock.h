/* SPDX-License-Identifier: MIT */
/* Which files the launcher may still open. */
#ifndef KVM_SANDBOX_LANDLOCK_H
#define KVM_SANDBOX_LANDLOCK_H

#include <stdbool.h>
#include <stddef.h>

#include "kvm/sandbox/sandbox.h"

/*
 * Leaves this thread and those it makes the files of runtime_dir, and /dev/kvm;
 * no TCP, no abstract sockets and, unless it may, no signals to others where the kernel can
 * see to that (the one that a process's death sends to its children is among them). -ENOSYS or
 * -EOPNOTSUPP: the kernel has no Landlock. Needs no_new_privs.
 */
int landlock_enter(const char *runtime_dir, bool may_signal);

/* As sandbox_enter_emulator() has it. The same returns. */
int landlock_enter_emulator(const char *runtime_dir, const struct sandbox_file *files,
                            size_t count);

#endif

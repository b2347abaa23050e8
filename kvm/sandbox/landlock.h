/* SPDX-License-Identifier: MIT */
/* Which files the launcher may still open. */
#ifndef KVM_SANDBOX_LANDLOCK_H
#define KVM_SANDBOX_LANDLOCK_H

/*
 * Leaves this thread and those it makes the files of runtime_dir, and /dev/kvm;
 * no TCP, no abstract sockets and no signals to others where the kernel can see to
 * that. -ENOSYS or -EOPNOTSUPP: the kernel has no Landlock. Needs no_new_privs.
 */
int landlock_enter(const char *runtime_dir);

#endif

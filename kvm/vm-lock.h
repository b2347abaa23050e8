/* SPDX-License-Identifier: MIT */
/* The locks that a launcher holds for its life, so that a VM runs once. */
#ifndef KVM_VM_LOCK_H
#define KVM_VM_LOCK_H

#include "kvm/launcher.h"

struct vm_lock {
    int runtime_fd; /* <runtime-dir>/lock: nobody else uses the directory */
    int data_fd;    /* the file of --lock: the VM runs nowhere else; -1 without */
};

#define VM_LOCK_NONE                                                                               \
    {                                                                                              \
        .runtime_fd = -1, .data_fd = -1                                                            \
    }

/*
 * Takes both, and notes the runtime directory in the file of --lock, where others find
 * the VM by it. What the runtime directory tells of the end of an earlier run goes. -EBUSY when
 * somebody holds one of them.
 */
int vm_lock_take(struct vm_lock *lock, const struct launcher_config *config,
                 struct crosh_error *err);
/* Lets go of what is held. */
void vm_lock_release(struct vm_lock *lock);

#endif

/* SPDX-License-Identifier: MIT */
/* A file system in which there is next to nothing. */
#ifndef KVM_SANDBOX_PRIVATE_ROOT_H
#define KVM_SANDBOX_PRIVATE_ROOT_H

/*
 * Leaves the process, in a mount namespace of its own, a root that holds runtime_dir
 * (absolute), which becomes its working directory, and, if the host has it, /dev/kvm, by
 * the paths that they had: no other socket, device or file can be named. What is open stays
 * open. Negative errno with *what, the step that failed.
 */
int private_root_enter(const char *runtime_dir, const char **what);

#endif

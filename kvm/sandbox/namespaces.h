/* SPDX-License-Identifier: MIT */
/* Namespaces of the launcher's own. */
#ifndef KVM_SANDBOX_NAMESPACES_H
#define KVM_SANDBOX_NAMESPACES_H

/*
 * Takes the process, which has one thread, away from the host's network, System V
 * IPC and mounts. It keeps its user and group. 0; -EIO: half-way stuck; another
 * negative errno: the host forbids it, and nothing has changed.
 */
int namespaces_enter(void);

#endif

/* SPDX-License-Identifier: MIT */
/* The VM's vsock device: our own, or the host kernel's with a bridge to the same sockets. */
#ifndef KVM_LAUNCHER_VSOCK_H
#define KVM_LAUNCHER_VSOCK_H

#include <crosh/error.h>

struct launcher;

/* For the launcher's life, before it is confined: what the kernel's device needs. */
int launcher_vsock_init(struct launcher *l, struct crosh_error *err);
void launcher_vsock_fini(struct launcher *l);
/* For one boot: makes l->vsock, with l->link behind its port. */
int launcher_vsock_up(struct launcher *l, struct crosh_error *err);
void launcher_vsock_down(struct launcher *l);

#endif

/* SPDX-License-Identifier: MIT */
/* The vsock ports and addresses that both ends agree on. */
#ifndef CROSH_WIRE_PORTS_H
#define CROSH_WIRE_PORTS_H

#define PORT_VSH        9001u /* in the guest: terminals and commands (vsh.proto) */
#define PORT_STREAMS    9002u /* in the guest: streams to its ports and sockets (streams.proto) */
#define PORT_FILES      9003u /* in the guest: copies of files (files.proto) */
#define PORT_SYSTEM     8888u /* in the guest: the system as a whole (system.proto) */
#define PORT_GUEST_LINK 7777u /* on the host: the agent's stream to its launcher (guest.proto) */

/* LXD's unix socket in the guest. */
#define LXD_SOCKET "/var/lib/lxd/unix.socket"

#define VSH_TARGET_VM "vm_shell" /* the target that means the VM itself */

#endif

/* SPDX-License-Identifier: MIT */
/* Gives guests that ask for them their addresses: DHCP, DHCPv6, router advertisements. */
#ifndef NET_DHCP_H
#define NET_DHCP_H

#include <stdint.h>

#include "net/keeper.h"

struct front_process;
struct dhcp;

/* NULL: no memory. */
struct dhcp *dhcp_new(struct front_process *front);

/*
 * Serves a VM by its sockets (FRONT_DHCP, FRONT_DHCP6, FRONT_ROUTER; -1: not by that), which
 * become its own, or no longer. mac: of the guest's card, 6 bytes; mtu: in bytes.
 */
void dhcp_add(struct dhcp *dhcp, struct keeper_vm *vm, const uint8_t *mac, unsigned int mtu,
              const int fds[3]);
void dhcp_remove(struct dhcp *dhcp, const struct keeper_vm *vm);

#endif

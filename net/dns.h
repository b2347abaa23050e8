/* SPDX-License-Identifier: MIT */
/* The VMs' name server, on the gateway address of each: our names, and the host's for the rest. */
#ifndef NET_DNS_H
#define NET_DNS_H

#include "net/keeper.h"

struct front_process;
struct dns;

/* NULL: no memory. */
struct dns *dns_new(struct front_process *front);

/*
 * Serves a VM by the sockets at its gateway's addresses (the first four of enum front_socket;
 * -1: not by that), which become its own; or no longer.
 */
void dns_add(struct dns *dns, const struct keeper_vm *vm, const int fds[4]);
void dns_remove(struct dns *dns, const struct keeper_vm *vm);

#endif

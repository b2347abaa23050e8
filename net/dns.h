/* SPDX-License-Identifier: MIT */
/* The VMs' name server, on the gateway address of each: our names, and the host's for the rest. */
#ifndef NET_DNS_H
#define NET_DNS_H

#include "net/keeper.h"

struct dns;

/* NULL: no memory. */
struct dns *dns_new(struct keeper *keeper);
void dns_free(struct dns *dns);

/* Serves a VM at its gateway's addresses, whose link is up; or no longer. */
void dns_add(struct dns *dns, const struct keeper_vm *vm);
void dns_remove(struct dns *dns, const struct keeper_vm *vm);

#endif

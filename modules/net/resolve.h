/* SPDX-License-Identifier: MIT */
/* From what a person calls a machine to its address. */
#ifndef MODULES_NET_RESOLVE_H
#define MODULES_NET_RESOLVE_H

#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <stdbool.h>

#include <crosh/error.h>

#include "lib/wire/net.pb-c.h"

union net_address {
    struct sockaddr any;
    struct sockaddr_in ipv4;
    struct sockaddr_in6 ipv6;
};

/*
 * Resolves an address, "gw" (the default route's next hop), a VM or a container ("penguin",
 * "penguin.termina", with ".linux.test" or without), or a host name, in this order. family:
 * AF_INET, AF_INET6 or AF_UNSPEC. vms: the keeper's listing (crosh_priv_net_list()), NULL: no VM
 * has a network. 0, or: -ENOENT no such name, -EHOSTUNREACH there is no way to it, with the reason
 * (a VM that is stopped or has no network, a container that is stopped or has no address).
 */
int net_resolve(const Net__Listing *vms, const char *target, int family, union net_address *address,
                struct crosh_error *err);

/* Whether the address is in a network of VMs that this process is not in. */
bool net_is_inside(const Net__Listing *vms, const union net_address *address);

/* The address in digits (with scope) into buf of INET6_ADDRSTRLEN + IF_NAMESIZE; returns buf. */
const char *net_address_text(const union net_address *address, char *buf, size_t size);
socklen_t net_address_size(const union net_address *address);

#endif

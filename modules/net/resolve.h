/* SPDX-License-Identifier: MIT */
/* From what a person calls a machine to its address. */
#ifndef MODULES_NET_RESOLVE_H
#define MODULES_NET_RESOLVE_H

#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <crosh/error.h>

union net_address {
    struct sockaddr any;
    struct sockaddr_in ipv4;
    struct sockaddr_in6 ipv6;
};

/*
 * Resolves an address, "gw" (the default route's next hop), a VM, or a host name, in this
 * order. family: AF_INET, AF_INET6 or AF_UNSPEC. 0, or: -ENOENT no such name, -EHOSTUNREACH
 * there is no way to it, with the reason (a VM that is stopped or has no network).
 */
int net_resolve(const char *target, int family, union net_address *address,
                struct crosh_error *err);

/* The address in digits (with scope) into buf of INET6_ADDRSTRLEN + IF_NAMESIZE; returns buf. */
const char *net_address_text(const union net_address *address, char *buf, size_t size);
socklen_t net_address_size(const union net_address *address);

#endif

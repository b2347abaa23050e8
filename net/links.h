/* SPDX-License-Identifier: MIT */
/* Links, addresses and routes of the network that VMs are in, through libnl. */
#ifndef NET_LINKS_H
#define NET_LINKS_H

#include <netlink/socket.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <crosh/error.h>

#include "net/plan.h"

/* A connection to the routing tables of this namespace, or, with an fd of a bound netlink socket
   (owned from here on), of that socket's. NULL with err filled. */
struct nl_sock *links_open(int fd, struct crosh_error *err);

/*
 * All destinations that are routed, but default routes and those through links whose
 * names begin with skip (NULL: none). The count, or negative; *prefixes is the caller's to free.
 */
int links_routes(struct nl_sock *sock, const char *skip, struct plan_prefix **prefixes,
                 struct crosh_error *err);

/* Where packets for the rest of the world go. */
struct links_uplink {
    bool has_ipv4, has_ipv6;
    bool is_ipv6_advertised; /* the IPv6 default route came by a router advertisement */
    char name[16];           /* the link of the IPv4 default route, or of the other; or empty */
    unsigned int mtu;        /* of that link; 0: unknown */
};
int links_find_uplink(struct nl_sock *sock, struct links_uplink *uplink, struct crosh_error *err);

/* Switches a link on or off. */
int links_set_up(struct nl_sock *sock, const char *name, bool up, struct crosh_error *err);

/* Gives a link the addresses of a place and its size of packets, switches it on, and routes
   the place's containers through it. Also after it was switched off. */
int links_configure(struct nl_sock *sock, const char *name, const struct plan_place *place,
                    unsigned int mtu, struct crosh_error *err);

struct links_counters {
    bool exists, is_up;
    uint64_t rx_bytes, rx_packets, tx_bytes, tx_packets, dropped; /* by the interface */
};
int links_counters(struct nl_sock *sock, const char *name, struct links_counters *counters,
                   struct crosh_error *err);

/* Whether there are links by which other programs lead packets on: bridges, WireGuard. */
bool links_has_forwarders(struct nl_sock *sock);

/* Whether the link is there. */
bool links_exists(const char *name);

/* A socket that becomes readable when links come or go; -1 with err filled. To be drained. */
int links_watch(struct crosh_error *err);

#endif

/* SPDX-License-Identifier: MIT */
/* The kernel's tables of links, addresses, routes and neighbours, through libnl. */
#ifndef MODULES_NET_NETLINK_H
#define MODULES_NET_NETLINK_H

#include <netlink/cache.h>
#include <netlink/socket.h>

#include <crosh/error.h>

#include "lib/base/cleanup.h"

/* A connection to the kernel's routing tables. NULL with err filled. */
struct nl_sock *netlink_open(struct crosh_error *err);
/* Sets err from one of libnl's codes; returns a negative errno. */
int netlink_error(struct crosh_error *err, int code, const char *what);

/* The whole table of links. To be freed; NULL with err filled. */
struct nl_cache *netlink_links(struct nl_sock *sock, struct crosh_error *err);

/* The same of routes. */
struct nl_cache *netlink_routes(struct nl_sock *sock, struct crosh_error *err);
/*
 * rtnl_route_alloc_cache() of all families, which does not lose a table that could not be filled to
 * its end. 0, or one of libnl's codes and *cache NULL.
 */
int netlink_alloc_routes(struct nl_sock *sock, struct nl_cache **cache);

void netlink_close(struct nl_sock **sock);
void netlink_cache_free(struct nl_cache **cache);
#define cleanup_nl_sock  cleanup(netlink_close)
#define cleanup_nl_cache cleanup(netlink_cache_free)

#endif

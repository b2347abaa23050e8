/* SPDX-License-Identifier: MIT */
/* Implements the way to the kernel's tables. */
#include "modules/net/netlink.h"

#include <errno.h>
#include <netlink/errno.h>
#include <netlink/netlink.h>
#include <netlink/route/link.h>
#include <netlink/route/route.h>

int netlink_error(struct crosh_error *err, int code, const char *what)
{
    static const struct {
        int nl, error;
    } known[] = {
        {NLE_NOMEM, -ENOMEM}, {NLE_PERM, -EPERM}, {NLE_NOACCESS, -EACCES}, {NLE_NODEV, -ENODEV}};
    int error = -EIO;

    code = code < 0 ? -code : code;
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (known[i].nl == code)
            error = known[i].error;
    return crosh_error_set(err, error, "%s: %s", what, nl_geterror(code));
}

struct nl_sock *netlink_open(struct crosh_error *err)
{
    struct nl_sock *sock = nl_socket_alloc();
    int code;

    if (sock == NULL) {
        crosh_error_set(err, -ENOMEM, "out of memory");
        return NULL;
    }
    code = nl_connect(sock, NETLINK_ROUTE);
    if (code < 0) {
        netlink_error(err, code, "netlink");
        nl_socket_free(sock);
        return NULL;
    }
    return sock;
}

struct nl_cache *netlink_links(struct nl_sock *sock, struct crosh_error *err)
{
    struct nl_cache *cache = NULL;
    int code = rtnl_link_alloc_cache(sock, AF_UNSPEC, &cache);

    if (code < 0) {
        netlink_error(err, code, "the table of links");
        return NULL;
    }
    return cache;
}

int netlink_alloc_routes(struct nl_sock *sock, struct nl_cache **cache)
{
    int code = rtnl_route_alloc_cache(NULL, AF_UNSPEC, 0, cache);

    if (code == 0)
        code = nl_cache_refill(sock, *cache);
    if (code < 0)
        netlink_cache_free(cache);
    return code;
}

struct nl_cache *netlink_routes(struct nl_sock *sock, struct crosh_error *err)
{
    struct nl_cache *cache = NULL;
    int code = netlink_alloc_routes(sock, &cache);

    if (code < 0)
        netlink_error(err, code, "the table of routes");
    return cache;
}

void netlink_close(struct nl_sock **sock)
{
    if (*sock != NULL)
        nl_socket_free(*sock);
}

void netlink_cache_free(struct nl_cache **cache)
{
    if (*cache != NULL)
        nl_cache_free(*cache);
    *cache = NULL;
}

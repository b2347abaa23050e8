/* SPDX-License-Identifier: MIT */
/* Implements links, addresses and routes. */
#include "net/links.h"

#include <errno.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netlink/netlink.h>
#include <netlink/route/addr.h>
#include <netlink/route/link.h>
#include <netlink/route/nexthop.h>
#include <netlink/route/route.h>
#include <string.h>
#include <sys/socket.h>

#include "lib/base/cleanup.h"

static void cleanup_cache_fn(struct nl_cache **cache)
{
    if (*cache != NULL)
        nl_cache_free(*cache);
}

static void cleanup_addr_fn(struct nl_addr **addr)
{
    if (*addr != NULL)
        nl_addr_put(*addr);
}

static void cleanup_link_fn(struct rtnl_link **link)
{
    if (*link != NULL)
        rtnl_link_put(*link);
}

static int failed(struct crosh_error *err, int code, const char *what)
{
    static const struct {
        int nl, error;
    } known[] = {{NLE_NOMEM, -ENOMEM},     {NLE_PERM, -EPERM},   {NLE_NOACCESS, -EACCES},
                 {NLE_NODEV, -ENODEV},     {NLE_EXIST, -EEXIST}, {NLE_OBJ_NOTFOUND, -ENODEV},
                 {NLE_OPNOTSUPP, -ENOTSUP}};
    int error = -EIO;

    code = code < 0 ? -code : code;
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (known[i].nl == code)
            error = known[i].error;
    return crosh_error_set(err, error, "%s: %s", what, nl_geterror(code));
}

struct nl_sock *links_open(int fd, struct crosh_error *err)
{
    struct nl_sock *sock = nl_socket_alloc();
    int code;

    if (sock == NULL) {
        if (fd >= 0)
            (void)close(fd);
        crosh_error_set(err, -ENOMEM, "out of memory");
        return NULL;
    }
    code = fd >= 0 ? nl_socket_set_fd(sock, NETLINK_ROUTE, fd) : nl_connect(sock, NETLINK_ROUTE);
    if (code < 0) {
        failed(err, code, "netlink");
        if (fd >= 0)
            (void)close(fd);
        nl_socket_free(sock);
        return NULL;
    }
    return sock;
}

static struct nl_cache *dump_links(struct nl_sock *sock, struct crosh_error *err)
{
    struct nl_cache *cache = NULL;
    int code = rtnl_link_alloc_cache(sock, AF_UNSPEC, &cache);

    if (code < 0) {
        failed(err, code, "the table of links");
        return NULL;
    }
    return cache;
}

/* rtnl_route_alloc_cache() would lose what it has of a table that it could not fill to its end. */
static struct nl_cache *dump_routes(struct nl_sock *sock, struct crosh_error *err)
{
    struct nl_cache *cache = NULL;
    int code = rtnl_route_alloc_cache(NULL, AF_UNSPEC, 0, &cache);

    if (code == 0)
        code = nl_cache_refill(sock, cache);
    if (code == 0)
        return cache;
    failed(err, code, "the table of routes");
    if (cache != NULL)
        nl_cache_free(cache);
    return NULL;
}

static bool to_prefix(struct nl_addr *addr, struct plan_prefix *prefix)
{
    unsigned int size = nl_addr_get_len(addr);

    *prefix = (struct plan_prefix){.family = nl_addr_get_family(addr),
                                   .bits = nl_addr_get_prefixlen(addr)};
    if ((prefix->family == AF_INET && size != 4) || (prefix->family == AF_INET6 && size != 16) ||
        (prefix->family != AF_INET && prefix->family != AF_INET6) || prefix->bits > size * 8)
        return false;
    memcpy(&prefix->ipv6, nl_addr_get_binary_addr(addr), size);
    return true;
}

/* Link-local and multicast prefixes are everywhere, and in nobody's way. */
static bool is_ordinary(const struct plan_prefix *prefix)
{
    const uint8_t *bytes = (const uint8_t *)&prefix->ipv6;

    if (prefix->family == AF_INET6)
        return bytes[0] != 0xff && !(bytes[0] == 0xfe && (bytes[1] & 0xc0) == 0x80);
    return bytes[0] != 127 && bytes[0] < 224;
}

int links_routes(struct nl_sock *sock, const char *skip, struct plan_prefix **prefixes,
                 struct crosh_error *err)
{
    cleanup(cleanup_cache_fn) struct nl_cache *links = dump_links(sock, err);
    cleanup(cleanup_cache_fn) struct nl_cache *routes = NULL;
    cleanup_free struct plan_prefix *list = NULL;
    size_t skip_size = skip != NULL ? strlen(skip) : 0;
    int count = 0;

    if (links == NULL || (routes = dump_routes(sock, err)) == NULL)
        return err != NULL ? err->code : -EIO;
    list = calloc((size_t)nl_cache_nitems(routes) + 1, sizeof(*list));
    if (list == NULL)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    for (struct nl_object *o = nl_cache_get_first(routes); o != NULL; o = nl_cache_get_next(o)) {
        struct rtnl_route *route = (struct rtnl_route *)o;
        struct nl_addr *to = rtnl_route_get_dst(route);
        struct rtnl_nexthop *hop =
            rtnl_route_get_nnexthops(route) > 0 ? rtnl_route_nexthop_n(route, 0) : NULL;
        char name[IFNAMSIZ] = "";

        if (to == NULL || nl_addr_get_prefixlen(to) == 0 || !to_prefix(to, &list[count]) ||
            !is_ordinary(&list[count]))
            continue;
        if (hop != NULL)
            (void)rtnl_link_i2name(links, rtnl_route_nh_get_ifindex(hop), name, sizeof(name));
        if (skip != NULL && strncmp(name, skip, skip_size) == 0)
            continue;
        count++;
    }
    *prefixes = move_ptr(list);
    return count;
}

int links_find_uplink(struct nl_sock *sock, struct links_uplink *uplink, struct crosh_error *err)
{
    cleanup(cleanup_cache_fn) struct nl_cache *links = dump_links(sock, err);
    cleanup(cleanup_cache_fn) struct nl_cache *routes = NULL;
    uint32_t best[2] = {UINT32_MAX, UINT32_MAX};
    int index[2] = {0, 0};

    *uplink = (struct links_uplink){0};
    if (links == NULL || (routes = dump_routes(sock, err)) == NULL)
        return err != NULL ? err->code : -EIO;
    for (struct nl_object *o = nl_cache_get_first(routes); o != NULL; o = nl_cache_get_next(o)) {
        struct rtnl_route *route = (struct rtnl_route *)o;
        struct nl_addr *to = rtnl_route_get_dst(route);
        bool is_ipv6 = rtnl_route_get_family(route) == AF_INET6;
        uint32_t metric = rtnl_route_get_priority(route);

        if (rtnl_route_get_type(route) != RTN_UNICAST || rtnl_route_get_nnexthops(route) < 1 ||
            (rtnl_route_get_family(route) != AF_INET && !is_ipv6) ||
            (to != NULL && nl_addr_get_prefixlen(to) != 0) || metric >= best[is_ipv6])
            continue;
        best[is_ipv6] = metric;
        index[is_ipv6] = rtnl_route_nh_get_ifindex(rtnl_route_nexthop_n(route, 0));
        if (is_ipv6)
            uplink->is_ipv6_advertised = rtnl_route_get_protocol(route) == RTPROT_RA;
    }
    uplink->has_ipv4 = index[0] > 0;
    uplink->has_ipv6 = index[1] > 0;
    if (index[0] > 0 || index[1] > 0) {
        struct rtnl_link *link = rtnl_link_get(links, index[0] > 0 ? index[0] : index[1]);

        if (link != NULL) {
            uplink->mtu = rtnl_link_get_mtu(link);
            (void)snprintf(uplink->name, sizeof(uplink->name), "%s", rtnl_link_get_name(link));
            rtnl_link_put(link);
        }
    }
    return 0;
}

static struct rtnl_link *find_link(struct nl_sock *sock, const char *name, struct crosh_error *err)
{
    struct rtnl_link *link = NULL;
    int code = rtnl_link_get_kernel(sock, 0, name, &link);

    if (code < 0) {
        failed(err, code, name);
        return NULL;
    }
    return link;
}

static int change_link(struct nl_sock *sock, struct rtnl_link *link, bool up, unsigned int mtu,
                       struct crosh_error *err)
{
    cleanup(cleanup_link_fn) struct rtnl_link *change = rtnl_link_alloc();
    int code;

    if (change == NULL)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    if (up)
        rtnl_link_set_flags(change, IFF_UP);
    else
        rtnl_link_unset_flags(change, IFF_UP);
    if (mtu != 0)
        rtnl_link_set_mtu(change, mtu);
    code = rtnl_link_change(sock, link, change, 0);
    return code < 0 ? failed(err, code, rtnl_link_get_name(link)) : 0;
}

int links_set_up(struct nl_sock *sock, const char *name, bool up, struct crosh_error *err)
{
    cleanup(cleanup_link_fn) struct rtnl_link *link = find_link(sock, name, err);

    if (link == NULL)
        return err != NULL ? err->code : -ENODEV;
    return change_link(sock, link, up, 0, err);
}

static struct nl_addr *to_nl_addr(const struct plan_prefix *prefix, bool is_host)
{
    size_t size = prefix->family == AF_INET6 ? 16 : 4;
    struct nl_addr *addr = nl_addr_build(prefix->family, &prefix->ipv6, size);

    if (addr != NULL)
        nl_addr_set_prefixlen(addr, is_host ? (int)size * 8 : (int)prefix->bits);
    return addr;
}

static int add_address(struct nl_sock *sock, int index, const struct plan_prefix *prefix,
                       struct crosh_error *err)
{
    cleanup(cleanup_addr_fn) struct nl_addr *local = to_nl_addr(prefix, false);
    struct rtnl_addr *addr = rtnl_addr_alloc();
    int code = -NLE_NOMEM;

    if (addr != NULL && local != NULL) {
        rtnl_addr_set_ifindex(addr, index);
        code = rtnl_addr_set_local(addr, local);
        /* Nobody else is on the link. */
        if (prefix->family == AF_INET6)
            rtnl_addr_set_flags(addr, IFA_F_NODAD);
        if (code == 0)
            code = rtnl_addr_add(sock, addr, NLM_F_REPLACE);
    }
    if (addr != NULL)
        rtnl_addr_put(addr);
    return code < 0 ? failed(err, code, "the link's address") : 0;
}

/* Leads a network through its gateway on a link. */
static int add_route(struct nl_sock *sock, int index, const struct plan_prefix *to,
                     const struct plan_prefix *via, struct crosh_error *err)
{
    cleanup(cleanup_addr_fn) struct nl_addr *destination = NULL;
    cleanup(cleanup_addr_fn) struct nl_addr *gateway = to_nl_addr(via, true);
    struct rtnl_route *route = rtnl_route_alloc();
    struct rtnl_nexthop *hop = rtnl_route_nh_alloc();
    struct plan_prefix network = *to;
    char text[PLAN_TEXT_SIZE];
    int code = -NLE_NOMEM;

    if (nl_addr_parse(plan_network_text(&network, text), network.family, &destination) < 0)
        destination = NULL;
    if (destination != NULL && gateway != NULL && route != NULL && hop != NULL) {
        rtnl_route_nh_set_ifindex(hop, index);
        rtnl_route_nh_set_gateway(hop, gateway);
        rtnl_route_add_nexthop(route, move_ptr(hop));
        rtnl_route_set_family(route, (uint8_t)network.family);
        rtnl_route_set_table(route, RT_TABLE_MAIN);
        rtnl_route_set_protocol(route, RTPROT_STATIC);
        rtnl_route_set_scope(route, RT_SCOPE_UNIVERSE);
        code = rtnl_route_set_dst(route, destination);
        if (code == 0)
            code = rtnl_route_add(sock, route, NLM_F_REPLACE);
    }
    if (hop != NULL)
        rtnl_route_nh_free(hop);
    if (route != NULL)
        rtnl_route_put(route);
    return code < 0 ? failed(err, code, "the route to the containers") : 0;
}

int links_configure(struct nl_sock *sock, const char *name, const struct plan_place *place,
                    unsigned int mtu, struct crosh_error *err)
{
    cleanup(cleanup_link_fn) struct rtnl_link *link = find_link(sock, name, err);
    int index;
    int code;

    if (link == NULL)
        return err != NULL ? err->code : -ENODEV;
    index = rtnl_link_get_ifindex(link);
    if ((code = change_link(sock, link, true, mtu, err)) < 0 ||
        (code = add_address(sock, index, &place->gateway, err)) < 0 ||
        (code = add_route(sock, index, &place->containers, &place->guest, err)) < 0)
        return code;
    /* A host may have no IPv6 at all. */
    if (add_address(sock, index, &place->gateway6, NULL) == 0)
        (void)add_route(sock, index, &place->containers6, &place->guest6, NULL);
    return 0;
}

int links_counters(struct nl_sock *sock, const char *name, struct links_counters *counters,
                   struct crosh_error *err)
{
    cleanup(cleanup_link_fn) struct rtnl_link *link = find_link(sock, name, err);

    *counters = (struct links_counters){0};
    if (link == NULL)
        return err != NULL ? err->code : -ENODEV;
    counters->exists = true;
    counters->is_up = (rtnl_link_get_flags(link) & IFF_UP) != 0;
    counters->rx_bytes = rtnl_link_get_stat(link, RTNL_LINK_RX_BYTES);
    counters->rx_packets = rtnl_link_get_stat(link, RTNL_LINK_RX_PACKETS);
    counters->tx_bytes = rtnl_link_get_stat(link, RTNL_LINK_TX_BYTES);
    counters->tx_packets = rtnl_link_get_stat(link, RTNL_LINK_TX_PACKETS);
    counters->dropped = rtnl_link_get_stat(link, RTNL_LINK_RX_DROPPED) +
                        rtnl_link_get_stat(link, RTNL_LINK_TX_DROPPED);
    return 0;
}

bool links_has_forwarders(struct nl_sock *sock)
{
    cleanup(cleanup_cache_fn) struct nl_cache *links = dump_links(sock, NULL);

    if (links == NULL)
        return true;
    for (struct nl_object *o = nl_cache_get_first(links); o != NULL; o = nl_cache_get_next(o)) {
        const char *kind = rtnl_link_get_type((struct rtnl_link *)o);

        if (kind != NULL && (strcmp(kind, "bridge") == 0 || strcmp(kind, "wireguard") == 0))
            return true;
    }
    return false;
}

bool links_exists(const char *name)
{
    return if_nametoindex(name) != 0;
}

int links_watch(struct crosh_error *err)
{
    cleanup_close int fd =
        socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, NETLINK_ROUTE);
    struct sockaddr_nl address = {.nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK};

    if (fd < 0 || bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
        return crosh_error_errno(err, "cannot watch the links");
    return move_fd(fd);
}

/* SPDX-License-Identifier: MIT */
/* Shows the kernel's network tables, for people and as JSON. */

#include "modules/net/tables.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <linux/if.h>
#include <netinet/in.h>
#include <netlink/route/addr.h>
#include <netlink/route/link.h>
#include <netlink/route/neighbour.h>
#include <netlink/route/nexthop.h>
#include <netlink/route/route.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "modules/net/listing.h"
#include "modules/net/netlink.h"

/* Whether it is as long as its family's are: libnl reads it so without a look at its length. */
static bool is_whole(const struct nl_addr *address)
{
    switch (nl_addr_get_family(address)) {
    case AF_INET:
        return nl_addr_get_len(address) == sizeof(struct in_addr);
    case AF_INET6:
        return nl_addr_get_len(address) == sizeof(struct in6_addr);
    default:
        return nl_addr_get_len(address) > 0;
    }
}

static void put_address(struct listing *l, struct nl_addr *address)
{
    char text[LISTING_CELL_MAX];

    listing_text(l, address != NULL && is_whole(address) ? nl_addr2str(address, text, sizeof(text))
                                                         : NULL);
}

static void put_link(struct listing *l, struct nl_cache *links, int index)
{
    char name[IFNAMSIZ];

    listing_text(l, index > 0 ? rtnl_link_i2name(links, index, name, sizeof(name)) : NULL);
}

/* ---- The tables ---- */

typedef int alloc_fn(struct nl_sock *sock, struct nl_cache **cache);
typedef void row_fn(struct listing *l, struct nl_object *object, struct nl_cache *links);

static int show(struct crosh_context *ctx, const struct crosh_args *args,
                const char *const *headers, alloc_fn *alloc, const char *what, row_fn *row,
                struct crosh_error *err)
{
    cleanup_nl_sock struct nl_sock *sock = netlink_open(err);
    cleanup_nl_cache struct nl_cache *links = NULL;
    cleanup_nl_cache struct nl_cache *cache = NULL;
    struct nl_object *object;
    struct listing listing;
    int code;

    if (sock == NULL)
        return err->code;
    links = netlink_links(sock, err);
    if (links == NULL)
        return err->code;
    code = alloc(sock, &cache);
    if (code < 0)
        return netlink_error(err, code, what);
    crosh_page_output(ctx);
    listing_begin(&listing, args, headers);
    for (object = nl_cache_get_first(cache); object != NULL; object = nl_cache_get_next(object))
        row(&listing, object, links);
    return listing_end(&listing, ctx, 0, err);
}

static int alloc_links(struct nl_sock *sock, struct nl_cache **cache)
{
    return rtnl_link_alloc_cache(sock, AF_UNSPEC, cache);
}

static void link_row(struct listing *l, struct nl_object *object, struct nl_cache *links)
{
    struct rtnl_link *link = (struct rtnl_link *)object;
    unsigned int flags = rtnl_link_get_flags(link);
    const char *kind = rtnl_link_get_type(link);
    char state[32];

    listing_text(l, rtnl_link_get_name(link));
    listing_text(l, (flags & IFF_UP) == 0        ? "down"
                    : (flags & IFF_RUNNING) == 0 ? "no carrier"
                                                 : "up");
    listing_text(l, kind != NULL ? kind : (flags & IFF_LOOPBACK) != 0 ? "loopback" : NULL);
    listing_number(l, rtnl_link_get_mtu(link));
    put_address(l, rtnl_link_get_addr(link));
    put_link(l, links, rtnl_link_get_master(link));
    listing_text(l, rtnl_link_operstate2str(rtnl_link_get_operstate(link), state, sizeof(state)));
    listing_row_end(l);
}

int net_run_links(struct crosh_context *ctx, const struct crosh_args *args, struct crosh_error *err)
{
    static const char *const headers[] = {"NAME", "STATE",  "KIND",  "MTU",
                                          "MAC",  "MASTER", "LOWER", NULL};

    return show(ctx, args, headers, alloc_links, "the table of links", link_row, err);
}

static void stats_row(struct listing *l, struct nl_object *object, struct nl_cache *links)
{
    static const rtnl_link_stat_id_t ids[] = {
        RTNL_LINK_RX_PACKETS, RTNL_LINK_RX_BYTES, RTNL_LINK_RX_ERRORS, RTNL_LINK_RX_DROPPED,
        RTNL_LINK_TX_PACKETS, RTNL_LINK_TX_BYTES, RTNL_LINK_TX_ERRORS, RTNL_LINK_TX_DROPPED};
    struct rtnl_link *link = (struct rtnl_link *)object;

    (void)links;
    listing_text(l, rtnl_link_get_name(link));
    for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++)
        listing_number(l, rtnl_link_get_stat(link, ids[i]));
    listing_row_end(l);
}

int net_run_stats(struct crosh_context *ctx, const struct crosh_args *args, struct crosh_error *err)
{
    static const char *const headers[] = {"NAME",       "RX PACKETS", "RX BYTES", "RX ERRORS",
                                          "RX DROPPED", "TX PACKETS", "TX BYTES", "TX ERRORS",
                                          "TX DROPPED", NULL};

    return show(ctx, args, headers, alloc_links, "the table of links", stats_row, err);
}

static void addr_row(struct listing *l, struct nl_object *object, struct nl_cache *links)
{
    struct rtnl_addr *addr = (struct rtnl_addr *)object;
    char text[64];

    put_link(l, links, rtnl_addr_get_ifindex(addr));
    listing_text(l, rtnl_addr_get_family(addr) == AF_INET6 ? "inet6" : "inet");
    put_address(l, rtnl_addr_get_local(addr));
    put_address(l, rtnl_addr_get_peer(addr));
    listing_text(l, rtnl_scope2str(rtnl_addr_get_scope(addr), text, sizeof(text)));
    listing_row_end(l);
}

int net_run_addrs(struct crosh_context *ctx, const struct crosh_args *args, struct crosh_error *err)
{
    static const char *const headers[] = {"LINK", "FAMILY", "ADDRESS", "PEER", "SCOPE", NULL};

    return show(ctx, args, headers, rtnl_addr_alloc_cache, "the table of addresses", addr_row, err);
}

/* One row for each next hop; the kernel's own tables (addresses of this host) are left out. */
static void route_row(struct listing *l, struct nl_object *object, struct nl_cache *links)
{
    struct rtnl_route *route = (struct rtnl_route *)object;
    int hops = rtnl_route_get_nnexthops(route);
    char text[64];

    if (rtnl_route_get_table(route) == RT_TABLE_LOCAL)
        return;
    for (int i = 0; i < hops || i == 0; i++) {
        struct rtnl_nexthop *hop = hops > 0 ? rtnl_route_nexthop_n(route, i) : NULL;
        struct nl_addr *to = rtnl_route_get_dst(route);

        if (to == NULL || nl_addr_get_len(to) == 0)
            listing_text(l, "default");
        else
            put_address(l, to);
        put_address(l, hop != NULL ? rtnl_route_nh_get_gateway(hop) : NULL);
        put_link(l, links, hop != NULL ? rtnl_route_nh_get_ifindex(hop) : 0);
        put_address(l, rtnl_route_get_pref_src(route));
        listing_number(l, rtnl_route_get_priority(route));
        listing_text(l, rtnl_route_table2str((int)rtnl_route_get_table(route), text, sizeof(text)));
        listing_text(l, rtnl_route_get_family(route) == AF_INET6 ? "inet6" : "inet");
        listing_row_end(l);
    }
}

int net_run_routes(struct crosh_context *ctx, const struct crosh_args *args,
                   struct crosh_error *err)
{
    static const char *const headers[] = {"TO",     "VIA",   "LINK",   "SOURCE",
                                          "METRIC", "TABLE", "FAMILY", NULL};

    return show(ctx, args, headers, netlink_alloc_routes, "the table of routes", route_row, err);
}

static void neigh_row(struct listing *l, struct nl_object *object, struct nl_cache *links)
{
    struct rtnl_neigh *neigh = (struct rtnl_neigh *)object;
    char text[64];

    if ((rtnl_neigh_get_state(neigh) & NUD_NOARP) != 0)
        return;
    put_address(l, rtnl_neigh_get_dst(neigh));
    put_link(l, links, rtnl_neigh_get_ifindex(neigh));
    put_address(l, rtnl_neigh_get_lladdr(neigh));
    listing_text(l, rtnl_neigh_state2str(rtnl_neigh_get_state(neigh), text, sizeof(text)));
    listing_row_end(l);
}

int net_run_neigh(struct crosh_context *ctx, const struct crosh_args *args, struct crosh_error *err)
{
    static const char *const headers[] = {"ADDRESS", "LINK", "MAC", "STATE", NULL};

    return show(ctx, args, headers, rtnl_neigh_alloc_cache, "the table of neighbours", neigh_row,
                err);
}

/* SPDX-License-Identifier: MIT */
/* Implements the resolution of names. */
#include "modules/net/resolve.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netlink/route/nexthop.h>
#include <netlink/route/route.h>
#include <string.h>

#include <crosh/vm.h>

#include "modules/net/netlink.h"

socklen_t net_address_size(const union net_address *address)
{
    return address->any.sa_family == AF_INET6 ? sizeof(address->ipv6) : sizeof(address->ipv4);
}

const char *net_address_text(const union net_address *address, char *buf, size_t size)
{
    if (getnameinfo(&address->any, net_address_size(address), buf, (socklen_t)size, NULL, 0,
                    NI_NUMERICHOST) != 0)
        buf[0] = '\0';
    return buf;
}

/* The next hop of the default route with the lowest metric. */
static int resolve_gateway(int family, union net_address *address, struct crosh_error *err)
{
    cleanup_nl_sock struct nl_sock *sock = netlink_open(err);
    cleanup_nl_cache struct nl_cache *routes = NULL;
    struct nl_object *object;
    uint32_t best = UINT32_MAX;
    bool found = false;
    int code;

    if (sock == NULL)
        return err != NULL ? err->code : -EIO;
    code = rtnl_route_alloc_cache(sock, AF_UNSPEC, 0, &routes);
    if (code < 0)
        return netlink_error(err, code, "the table of routes");
    for (object = nl_cache_get_first(routes); object != NULL; object = nl_cache_get_next(object)) {
        struct rtnl_route *route = (struct rtnl_route *)object;
        struct nl_addr *to = rtnl_route_get_dst(route);
        struct rtnl_nexthop *hop = rtnl_route_nexthop_n(route, 0);
        struct nl_addr *via = hop != NULL ? rtnl_route_nh_get_gateway(hop) : NULL;
        socklen_t size = sizeof(*address);

        if (rtnl_route_get_table(route) != RT_TABLE_MAIN || via == NULL ||
            (to != NULL && nl_addr_get_prefixlen(to) != 0) ||
            (family != AF_UNSPEC && nl_addr_get_family(via) != family) ||
            (found && rtnl_route_get_priority(route) >= best))
            continue;
        memset(address, 0, sizeof(*address));
        if (nl_addr_fill_sockaddr(via, &address->any, &size) < 0)
            continue;
        if (address->any.sa_family == AF_INET6)
            address->ipv6.sin6_scope_id = (uint32_t)rtnl_route_nh_get_ifindex(hop);
        best = rtnl_route_get_priority(route);
        found = true;
    }
    if (found)
        return 0;
    crosh_error_set(err, -EHOSTUNREACH, "gw: this host has no default route");
    return -EHOSTUNREACH;
}

/* VMs have no network of their own yet when their launcher gave them none: say so at once. */
static int explain_vm(const char *name, struct crosh_error *err)
{
    enum crosh_vm_state state = crosh_vm_state(name);

    if (state == CROSH_VM_STOPPED) {
        crosh_error_set(err, -EHOSTUNREACH, "the VM %s is stopped", name);
        crosh_error_hint(err, "start it with \"vmc start %s\"", name);
    } else {
        crosh_error_set(err, -EHOSTUNREACH, "the VM %s has no address", name);
        crosh_error_hint(err, "\"vsh %s\" reaches it without a network", name);
    }
    return -EHOSTUNREACH;
}

int net_resolve(const char *target, int family, union net_address *address, struct crosh_error *err)
{
    struct addrinfo hints = {.ai_family = family, .ai_socktype = SOCK_DGRAM};
    struct addrinfo *list = NULL;
    int code;

    hints.ai_flags = AI_NUMERICHOST;
    code = getaddrinfo(target, NULL, &hints, &list);
    if (code != 0 && strcmp(target, "gw") == 0)
        return resolve_gateway(family, address, err);
    if (code != 0 && crosh_vm_check_name(target, NULL) == 0 && crosh_vm_exists(target))
        return explain_vm(target, err);
    if (code != 0) {
        hints.ai_flags = AI_IDN;
        code = getaddrinfo(target, NULL, &hints, &list);
    }
    if (code != 0)
        return crosh_error_set(err, -ENOENT, "%s: %s", target,
                               code == EAI_SYSTEM ? strerror(errno) : gai_strerror(code));
    memset(address, 0, sizeof(*address));
    memcpy(address, list->ai_addr, list->ai_addrlen);
    freeaddrinfo(list);
    return 0;
}

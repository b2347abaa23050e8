/* SPDX-License-Identifier: MIT */
/* Implements the resolution of names. */
#include "modules/net/resolve.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netlink/route/nexthop.h>
#include <netlink/route/route.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <crosh/vm.h>

#include "lib/net/client.h"
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

    if (sock == NULL || (routes = netlink_routes(sock, err)) == NULL)
        return err != NULL ? err->code : -EIO;
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

/* A VM that has no address: says why, at once. */
static int explain_vm(const char *name, struct crosh_error *err)
{
    enum crosh_vm_state state = crosh_vm_state(name);

    if (state == CROSH_VM_STOPPED) {
        crosh_error_set(err, -EHOSTUNREACH, "the VM %s is stopped", name);
        crosh_error_hint(err, "start it with \"vmc start %s\"", name);
    } else {
        crosh_error_set(err, -EHOSTUNREACH, "the VM %s has no network", name);
        crosh_error_hint(err,
                         "\"vsh %s\" reaches it without one; the next start may give it one: "
                         "vmc start --network nat %s",
                         name, name);
    }
    return -EHOSTUNREACH;
}

/* The first of the keeper's addresses that is of the family. */
static int choose(const Net__Response *response, int family, union net_address *address)
{
    for (size_t i = 0; i < response->n_addresses; i++) {
        const char *text = response->addresses[i];

        memset(address, 0, sizeof(*address));
        if (family != AF_INET6 && inet_pton(AF_INET, text, &address->ipv4.sin_addr) == 1) {
            address->ipv4.sin_family = AF_INET;
            return 0;
        }
        if (family != AF_INET && inet_pton(AF_INET6, text, &address->ipv6.sin6_addr) == 1) {
            address->ipv6.sin6_family = AF_INET6;
            return 0;
        }
    }
    return -EHOSTUNREACH;
}

/* Asks the keeper: -ENOENT when the name is none of its. */
static int resolve_guest(const char *target, int family, union net_address *address,
                         struct crosh_error *err)
{
    Net__Response *response = NULL;
    int code = crosh_priv_net_resolve(target, &response, err);

    if (code == 0) {
        code = choose(response, family, address);
        if (code < 0)
            (void)crosh_error_set(err, code, "%s has no %s address", target,
                                  family == AF_INET6 ? "IPv6" : "IPv4");
    }
    crosh_priv_net_response_free(response);
    return code;
}

/* The VM that a name is about, if it exists: the last of its words, or the one that "penguin" is
 * in.
 */
static const char *named_vm(const char *target, char vm[CROSH_VM_NAME_MAX + 1])
{
    static const char domain[] = ".linux.test";
    size_t size = strlen(target);
    size_t cut = sizeof(domain) - 1;
    const char *dot;
    int length;

    if (size > cut && strcmp(target + size - cut, domain) == 0)
        size -= cut;
    dot = memrchr(target, '.', size);
    length = (int)(dot != NULL ? size - (size_t)(dot + 1 - target) : size);
    if (snprintf(vm, CROSH_VM_NAME_MAX + 1, "%.*s", length, dot != NULL ? dot + 1 : target) >
        CROSH_VM_NAME_MAX)
        return NULL;
    if (dot == NULL && strcmp(vm, "penguin") == 0 && !crosh_vm_exists(vm))
        strcpy(vm, "termina");
    return crosh_vm_check_name(vm, NULL) == 0 && crosh_vm_exists(vm) ? vm : NULL;
}

static bool has_network(const Net__Listing *vms, const char *name)
{
    for (size_t i = 0; vms != NULL && i < vms->n_vms; i++)
        if (strcmp(vms->vms[i]->name, name) == 0)
            return true;
    return false;
}

/* Whether an address lies in "100.115.92.34/30" or the like. */
static bool lies_in(const union net_address *address, const char *prefix)
{
    bool is_ipv6 = address->any.sa_family == AF_INET6;
    const uint8_t *bytes =
        is_ipv6 ? address->ipv6.sin6_addr.s6_addr : (const uint8_t *)&address->ipv4.sin_addr;
    const char *slash = strchr(prefix, '/');
    char text[INET6_ADDRSTRLEN];
    uint8_t network[16];
    int bits;

    if (slash == NULL || (size_t)(slash - prefix) >= sizeof(text))
        return false;
    memcpy(text, prefix, (size_t)(slash - prefix));
    text[slash - prefix] = '\0';
    bits = inet_pton(address->any.sa_family, text, network) == 1 ? atoi(slash + 1) : -1;
    if (bits < 0 || memcmp(bytes, network, (size_t)bits / 8) != 0)
        return false;
    return bits % 8 == 0 ||
           ((bytes[bits / 8] ^ network[bits / 8]) & (uint8_t)(0xff00u >> bits % 8)) == 0;
}

bool net_is_inside(const Net__Listing *vms, const union net_address *address)
{
    bool is_ipv6 = address->any.sa_family == AF_INET6;

    for (size_t i = 0; vms != NULL && vms->own_namespace && i < vms->n_vms; i++) {
        const Net__Vm *vm = vms->vms[i];

        if (lies_in(address, is_ipv6 ? vm->address6 : vm->address) ||
            lies_in(address, is_ipv6 ? vm->containers6 : vm->containers))
            return true;
    }
    return false;
}

int net_resolve(const Net__Listing *vms, const char *target, int family, union net_address *address,
                struct crosh_error *err)
{
    char name[CROSH_VM_NAME_MAX + 1];
    const char *vm;
    struct addrinfo hints = {.ai_family = family, .ai_socktype = SOCK_DGRAM};
    struct addrinfo *list = NULL;
    int code;

    hints.ai_flags = AI_NUMERICHOST;
    code = getaddrinfo(target, NULL, &hints, &list);
    if (code != 0 && strcmp(target, "gw") == 0)
        return resolve_gateway(family, address, err);
    if (code != 0 && (vm = named_vm(target, name)) != NULL) {
        int found = has_network(vms, vm) ? resolve_guest(target, family, address, err)
                                         : explain_vm(vm, err);

        if (found != -ENOENT)
            return found;
    }
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

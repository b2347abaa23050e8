/* SPDX-License-Identifier: MIT */
/* The address plan: which addresses a VM and its containers get, around what the host routes. */
#ifndef NET_PLAN_H
#define NET_PLAN_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include <crosh/error.h>

/*
 * A range has 64 places for VMs, of which the first PLAN_FIRST are left alone, as ChromeOS does. A
 * place is a /30 for the VM's link (gateway +1, VM +2), a /26 for its containers, and two
 * /64 of the site's own IPv6 prefix (RFC 4193). The place's number also names the link.
 */
#define PLAN_PLACES 64u
#define PLAN_FIRST  6u

#define PLAN_LINK_BITS           30u
#define PLAN_CONTAINER_BITS      26u
#define PLAN_NET6_BITS           64u
#define PLAN_UPLINK_BITS         24u
#define PLAN_ALL_LINKS_BITS      24u
#define PLAN_ALL_CONTAINERS_BITS 20u
#define PLAN_SITE_BYTES          6u /* of the IPv6 prefix, a /48 */

/* An address with the length of its network's prefix. */
struct plan_prefix {
    int family; /* AF_INET or AF_INET6 */
    unsigned int bits;
    union {
        struct in_addr ipv4;
        struct in6_addr ipv6;
    };
};

/* All that belongs to one place. */
struct plan_place {
    unsigned int number;
    unsigned int range;
    struct plan_prefix gateway, guest; /* of the link, each with the link's prefix */
    struct plan_prefix containers;     /* the bridge's address in the guest */
    struct plan_prefix gateway6, guest6, containers6;
};

/* How many ranges there are to choose from. */
unsigned int plan_range_count(void);

/* The network between the namespace and its uplink, where there is one. */
struct plan_prefix plan_uplink(unsigned int range);

/* Where the range has its links and its containers' networks: of the VMs of any host that took it.
 */
struct plan_prefix plan_all_links(unsigned int range);
struct plan_prefix plan_all_containers(unsigned int range);

/* The place as it is, whether taken or not. site: PLAN_SITE_BYTES. */
struct plan_place plan_place(unsigned int range, unsigned int number, const uint8_t *site);

/* The place of the VM that has this address, as plan_text() writes it. False: there is none. */
bool plan_find(const char *guest, const uint8_t *site, struct plan_place *place);

/* A site's prefix, the same each time for the same text. */
void plan_site(const char *text, uint8_t *site);

/* A number of a place for a name to begin the search at: the same each time. */
unsigned int plan_preferred(const char *name);

/* Whether both contain an address. Prefixes of different families never do. */
bool plan_overlaps(const struct plan_prefix *a, const struct plan_prefix *b);

/*
 * Whether none of the used prefixes overlaps the place. Those shorter than 8 bits are ways to
 * everywhere (a VPN's 0.0.0.0/1) and do not count.
 */
bool plan_is_free(const struct plan_place *place, const struct plan_prefix *used, size_t count);

/*
 * The first place, from the preferred number on and then of the next ranges, that is not
 * taken (by number, in any range) and that is free. 0, or -EADDRNOTAVAIL.
 */
int plan_choose(const struct plan_prefix *used, size_t count, const bool taken[PLAN_PLACES],
                unsigned int preferred, const uint8_t *site, struct plan_place *place,
                struct crosh_error *err);

/* The first range whose uplink network is free; if none is, the first. */
unsigned int plan_choose_uplink(const struct plan_prefix *used, size_t count);

#define PLAN_TEXT_SIZE (INET6_ADDRSTRLEN + 4)
/* "100.115.92.25/30", or without its length; returns buf, of PLAN_TEXT_SIZE. */
const char *plan_text(const struct plan_prefix *prefix, bool with_bits, char *buf);
/* The same of the network that the prefix describes, host bits cleared. */
const char *plan_network_text(const struct plan_prefix *prefix, char *buf);

/* The prefix's address with a port, as the kernel's calls take it. Its size. */
socklen_t plan_to_sockaddr(const struct plan_prefix *to, unsigned int port,
                           struct sockaddr_storage *address);

#endif

/* SPDX-License-Identifier: MIT */
/* Messages between a router and its neighbours (RFC 4861, RFC 8106). */
#ifndef NET_ROUTER_MESSAGE_H
#define NET_ROUTER_MESSAGE_H

#include "net/dhcp-message.h"

#define ROUTER_ADVERT_MAX 256u

/* Whether it is a solicitation; hop_limit: that it came with, a neighbour's is 255. */
bool router_is_solicit(const uint8_t *message, size_t size, int hop_limit);

/*
 * Writes an advertisement, without its checksum: the prefix for addresses of the guest's own
 * making, the name server, the MTU, and that DHCPv6 has an address, too. The size.
 */
size_t router_advertise(const struct dhcp_link *link, uint8_t out[ROUTER_ADVERT_MAX]);

#endif

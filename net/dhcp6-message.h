/* SPDX-License-Identifier: MIT */
/* Messages of DHCPv6 (RFC 8415) for a link with one guest and one lease. */
#ifndef NET_DHCP6_MESSAGE_H
#define NET_DHCP6_MESSAGE_H

#include "net/dhcp-message.h"

#define DHCP6_ANSWER_MAX 1024u

enum { DHCP6_CLIENT_PORT = 546 };

struct dhcp6_answer {
    uint8_t message[DHCP6_ANSWER_MAX];
    size_t size;
    bool is_bound; /* it tells the guest that the address is its own */
};

/* Answers a client's message, to where it came from: true, or false where none is due. */
bool dhcp6_answer(const struct dhcp_link *link, const uint8_t *message, size_t size,
                  struct dhcp6_answer *answer);

/* Writes the domain that guests search as names on the wire have it: its size. */
size_t dhcp6_write_domain(uint8_t *out, size_t room);

#endif

/* SPDX-License-Identifier: MIT */
/* Messages of DHCP (RFC 2131, 2132) for a link with one guest and one lease. */
#ifndef NET_DHCP_MESSAGE_H
#define NET_DHCP_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/plan.h"

/* What a guest is told by DHCP, by DHCPv6 and by router advertisements. */
struct dhcp_link {
    struct plan_place place;
    uint8_t mac[6];       /* of the guest's card */
    unsigned int mtu;     /* bytes */
    const char *name;     /* of the VM: what the guest may call itself */
    unsigned int lease_s; /* how long an address is the guest's, unless it asks again */
};

#define DHCP_MESSAGE_MAX 1472u /* what is read of a request */
#define DHCP_ANSWER_MAX  548u  /* what every client takes, RFC 2131 section 2 */

enum { DHCP_CLIENT_PORT = 68 };

struct dhcp_answer {
    uint8_t message[DHCP_ANSWER_MAX];
    size_t size;
    struct in_addr to; /* the guest's address, or that of all */
    bool is_bound;     /* it tells the guest that the address is its own */
};

/* Answers a client's message: true, or false where none is due. */
bool dhcp_answer(const struct dhcp_link *link, const uint8_t *message, size_t size,
                 struct dhcp_answer *answer);

#endif

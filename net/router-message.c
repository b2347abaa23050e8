/* SPDX-License-Identifier: MIT */
/* Implements router advertisements. */
#include "net/router-message.h"

#include <netinet/icmp6.h>
#include <string.h>

#include "net/dhcp6-message.h"

enum { OPTION_RDNSS = 25, OPTION_DNSSL = 31, HOPS = 64, HOPS_NEIGHBOUR = 255 };

#define RDNSS_SIZE 24u

static void put32(uint8_t *at, uint32_t value)
{
    value = htonl(value);
    memcpy(at, &value, sizeof(value));
}

bool router_is_solicit(const uint8_t *message, size_t size, int hop_limit)
{
    return size >= sizeof(struct nd_router_solicit) && message[0] == ND_ROUTER_SOLICIT &&
           message[1] == 0 && hop_limit == HOPS_NEIGHBOUR;
}

size_t router_advertise(const struct dhcp_link *link, uint8_t out[ROUTER_ADVERT_MAX])
{
    struct nd_router_advert head = {.nd_ra_type = ND_ROUTER_ADVERT,
                                    .nd_ra_curhoplimit = HOPS,
                                    .nd_ra_flags_reserved = ND_RA_FLAG_MANAGED | ND_RA_FLAG_OTHER};
    struct nd_opt_prefix_info prefix = {
        .nd_opt_pi_type = ND_OPT_PREFIX_INFORMATION,
        .nd_opt_pi_len = sizeof(prefix) / 8,
        .nd_opt_pi_prefix_len = PLAN_NET6_BITS,
        .nd_opt_pi_flags_reserved = ND_OPT_PI_FLAG_ONLINK | ND_OPT_PI_FLAG_AUTO,
        .nd_opt_pi_valid_time = htonl(link->lease_s),
        .nd_opt_pi_preferred_time = htonl(link->lease_s),
    };
    struct nd_opt_mtu mtu = {.nd_opt_mtu_type = ND_OPT_MTU,
                             .nd_opt_mtu_len = sizeof(mtu) / 8,
                             .nd_opt_mtu_mtu = htonl(link->mtu)};
    uint8_t *at = out;
    size_t domain;

    head.nd_ra_router_lifetime =
        htons((uint16_t)(link->lease_s < UINT16_MAX ? link->lease_s : UINT16_MAX));
    memcpy(&prefix.nd_opt_pi_prefix, &link->place.guest6.ipv6, PLAN_NET6_BITS / 8);
    memset(out, 0, ROUTER_ADVERT_MAX);
    memcpy(at, &head, sizeof(head));
    at += sizeof(head);
    memcpy(at, &prefix, sizeof(prefix));
    at += sizeof(prefix);
    memcpy(at, &mtu, sizeof(mtu));
    at += sizeof(mtu);
    at[0] = OPTION_RDNSS;
    at[1] = RDNSS_SIZE / 8;
    put32(at + 4, link->lease_s);
    memcpy(at + 8, &link->place.gateway6.ipv6, 16);
    at += RDNSS_SIZE;
    /* Padded with zeroes to a whole number of eight bytes. */
    domain = dhcp6_write_domain(at + 8, ROUTER_ADVERT_MAX - 8 - (size_t)(at - out));
    at[0] = OPTION_DNSSL;
    at[1] = (uint8_t)((8 + domain + 7) / 8);
    put32(at + 4, link->lease_s);
    return (size_t)(at - out) + 8u * at[1];
}

/* SPDX-License-Identifier: MIT */
/* What guests send to be given addresses: DHCP, DHCPv6, router solicitations. */
#include <stdlib.h>
#include <string.h>

#include "net/dhcp-message.h"
#include "net/dhcp6-message.h"
#include "net/router-message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Whether options of so many bytes for code and size end exactly at the end of a message. */
static bool options_fit(const uint8_t *at, size_t size)
{
    while (size > 0) {
        size_t whole;

        if (size < 4)
            return false;
        whole = 4 + ((size_t)at[2] << 8 | at[3]);
        if (whole > size)
            return false;
        at += whole;
        size -= whole;
    }
    return true;
}

static void check_dhcp(const struct dhcp_link *link, const uint8_t *data, size_t size)
{
    static const uint8_t nothing[4];
    struct dhcp_answer answer;
    size_t at = 240;

    if (!dhcp_answer(link, data, size, &answer))
        return;
    if (answer.size < 300 || answer.size > sizeof(answer.message) ||
        (memcmp(answer.message + 16, &link->place.guest.ipv4, 4) != 0 &&
         memcmp(answer.message + 16, nothing, 4) != 0))
        abort();
    while (at < answer.size && answer.message[at] != 255)
        at += 2u + answer.message[at + 1];
    if (at >= answer.size)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t site[PLAN_SITE_BYTES] = {0xfd, 1, 2, 3, 4, 5};
    struct dhcp_link link = {.place = plan_place(0, 10, site),
                             .mac = {2, 0, 0, 0, 0, 1},
                             .mtu = 1500,
                             .name = "termina",
                             .lease_s = 3600};
    uint8_t advert[ROUTER_ADVERT_MAX];
    struct dhcp6_answer answer;

    if (size == 0)
        return 0;
    /* Exactly as long as it is, so that a read behind its end is seen. */
    switch (data[0] % 3) {
    case 0:
        check_dhcp(&link, data + 1, size - 1);
        break;
    case 1:
        if (dhcp6_answer(&link, data + 1, size - 1, &answer) &&
            (answer.size > sizeof(answer.message) ||
             !options_fit(answer.message + 4, answer.size - 4)))
            abort();
        break;
    default:
        if (router_is_solicit(data + 1, size - 1, 255) &&
            router_advertise(&link, advert) > sizeof(advert))
            abort();
        break;
    }
    return 0;
}

/* SPDX-License-Identifier: MIT */
/* Implements the address plan. */
#include "net/plan.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/sha256.h"

/* Prefixes shorter than this lead everywhere. */
#define MIN_BITS 8u

#define IPV4(a, b, c, d) ((uint32_t)(a) << 24 | (uint32_t)(b) << 16 | (uint32_t)(c) << 8 | (d))

/* uplink: a /24; links: a /24 (64 of /30); containers: a /20 (64 of /26). */
static const struct {
    uint32_t uplink, links, containers;
} ranges[] = {
    /* ChromeOS's, in the block of carriers, where hosts' own networks are rare. */
    {IPV4(100, 115, 91, 0), IPV4(100, 115, 92, 0), IPV4(100, 115, 96, 0)},
    /* A tailnet takes that whole block. */
    {IPV4(10, 115, 91, 0), IPV4(10, 115, 92, 0), IPV4(10, 115, 96, 0)},
    /* Larger VPNs take all of 10.0.0.0/8. */
    {IPV4(172, 27, 91, 0), IPV4(172, 27, 92, 0), IPV4(172, 27, 96, 0)},
    {IPV4(192, 168, 171, 0), IPV4(192, 168, 172, 0), IPV4(192, 168, 176, 0)},
    /* For benchmarks (RFC 2544); the last resort. */
    {IPV4(198, 18, 91, 0), IPV4(198, 18, 92, 0), IPV4(198, 18, 96, 0)},
};
#define RANGE_COUNT (sizeof(ranges) / sizeof(ranges[0]))

/* The second /64 of a place lies so far behind the first. */
#define CONTAINERS6 0x100u

unsigned int plan_range_count(void)
{
    return RANGE_COUNT;
}

static struct plan_prefix ipv4_prefix(uint32_t address, unsigned int bits)
{
    return (struct plan_prefix){
        .family = AF_INET, .bits = bits, .ipv4 = {.s_addr = htonl(address)}};
}

static struct plan_prefix ipv6_prefix(const uint8_t *site, unsigned int subnet, uint8_t host)
{
    struct plan_prefix prefix = {.family = AF_INET6, .bits = PLAN_NET6_BITS};

    memcpy(prefix.ipv6.s6_addr, site, PLAN_SITE_BYTES);
    prefix.ipv6.s6_addr[6] = (uint8_t)(subnet >> 8);
    prefix.ipv6.s6_addr[7] = (uint8_t)subnet;
    prefix.ipv6.s6_addr[15] = host;
    return prefix;
}

struct plan_prefix plan_uplink(unsigned int range)
{
    return ipv4_prefix(ranges[range].uplink, PLAN_UPLINK_BITS);
}

struct plan_prefix plan_all_links(unsigned int range)
{
    return ipv4_prefix(ranges[range].links, PLAN_ALL_LINKS_BITS);
}

struct plan_prefix plan_all_containers(unsigned int range)
{
    return ipv4_prefix(ranges[range].containers, PLAN_ALL_CONTAINERS_BITS);
}

struct plan_place plan_place(unsigned int range, unsigned int number, const uint8_t *site)
{
    uint32_t link = ranges[range].links + 4 * number;
    uint32_t containers = ranges[range].containers + 64 * number;

    return (struct plan_place){
        .number = number,
        .range = range,
        .gateway = ipv4_prefix(link + 1, PLAN_LINK_BITS),
        .guest = ipv4_prefix(link + 2, PLAN_LINK_BITS),
        .containers = ipv4_prefix(containers + 1, PLAN_CONTAINER_BITS),
        .gateway6 = ipv6_prefix(site, number, 1),
        .guest6 = ipv6_prefix(site, number, 2),
        .containers6 = ipv6_prefix(site, CONTAINERS6 + number, 1),
    };
}

bool plan_find(const char *guest, const uint8_t *site, struct plan_place *place)
{
    char text[PLAN_TEXT_SIZE];

    for (unsigned int range = 0; range < RANGE_COUNT; range++) {
        for (unsigned int number = PLAN_FIRST; number < PLAN_PLACES; number++) {
            *place = plan_place(range, number, site);
            if (strcmp(plan_text(&place->guest, true, text), guest) == 0)
                return true;
        }
    }
    return false;
}

void plan_site(const char *text, uint8_t *site)
{
    uint8_t digest[SHA256_SIZE];
    struct sha256 sha;

    sha256_init(&sha);
    sha256_add(&sha, text, strlen(text));
    sha256_finish(&sha, digest);
    site[0] = 0xfd;
    memcpy(site + 1, digest, PLAN_SITE_BYTES - 1);
}

unsigned int plan_preferred(const char *name)
{
    uint8_t digest[SHA256_SIZE];
    struct sha256 sha;

    sha256_init(&sha);
    sha256_add(&sha, name, strlen(name));
    sha256_finish(&sha, digest);
    return PLAN_FIRST + digest[0] % (PLAN_PLACES - PLAN_FIRST);
}

bool plan_overlaps(const struct plan_prefix *a, const struct plan_prefix *b)
{
    unsigned int bits = a->bits < b->bits ? a->bits : b->bits;
    /* Both addresses lie at the union's beginning. */
    const uint8_t *left = (const uint8_t *)&a->ipv6;
    const uint8_t *right = (const uint8_t *)&b->ipv6;
    uint8_t mask = (uint8_t)(0xff00u >> bits % 8);

    if (a->family != b->family || memcmp(left, right, bits / 8) != 0)
        return false;
    return bits % 8 == 0 || ((left[bits / 8] ^ right[bits / 8]) & mask) == 0;
}

static bool is_prefix_free(const struct plan_prefix *prefix, const struct plan_prefix *used,
                           size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (used[i].bits >= MIN_BITS && plan_overlaps(prefix, &used[i]))
            return false;
    return true;
}

bool plan_is_free(const struct plan_place *place, const struct plan_prefix *used, size_t count)
{
    return is_prefix_free(&place->guest, used, count) &&
           is_prefix_free(&place->containers, used, count) &&
           is_prefix_free(&place->guest6, used, count) &&
           is_prefix_free(&place->containers6, used, count);
}

int plan_choose(const struct plan_prefix *used, size_t count, const bool taken[PLAN_PLACES],
                unsigned int preferred, const uint8_t *site, struct plan_place *place,
                struct crosh_error *err)
{
    const unsigned int places = PLAN_PLACES - PLAN_FIRST;

    if (preferred < PLAN_FIRST || preferred >= PLAN_PLACES)
        preferred = PLAN_FIRST;
    for (unsigned int range = 0; range < RANGE_COUNT; range++) {
        for (unsigned int i = 0; i < places; i++) {
            unsigned int number = PLAN_FIRST + (preferred - PLAN_FIRST + i) % places;

            if (taken[number])
                continue;
            *place = plan_place(range, number, site);
            if (plan_is_free(place, used, count))
                return 0;
        }
    }
    crosh_error_set(err, -EADDRNOTAVAIL, "no addresses are left for another VM");
    crosh_error_hint(err, "see what takes them: net doctor");
    return -EADDRNOTAVAIL;
}

unsigned int plan_choose_uplink(const struct plan_prefix *used, size_t count)
{
    for (unsigned int range = 0; range < RANGE_COUNT; range++) {
        struct plan_prefix uplink = plan_uplink(range);

        if (is_prefix_free(&uplink, used, count))
            return range;
    }
    return 0;
}

const char *plan_text(const struct plan_prefix *prefix, bool with_bits, char *buf)
{
    size_t length;

    if (inet_ntop(prefix->family, &prefix->ipv6, buf, PLAN_TEXT_SIZE) == NULL)
        buf[0] = '\0';
    length = strlen(buf);
    if (with_bits)
        (void)snprintf(buf + length, PLAN_TEXT_SIZE - length, "/%u", prefix->bits);
    return buf;
}

const char *plan_network_text(const struct plan_prefix *prefix, char *buf)
{
    struct plan_prefix network = *prefix;
    uint8_t *bytes = (uint8_t *)&network.ipv6;
    unsigned int size = prefix->family == AF_INET6 ? 16 : 4;

    for (unsigned int i = prefix->bits / 8; i < size; i++)
        bytes[i] &= i == prefix->bits / 8 ? (uint8_t)(0xff00u >> prefix->bits % 8) : 0;
    return plan_text(&network, true, buf);
}

socklen_t plan_to_sockaddr(const struct plan_prefix *to, unsigned int port,
                           struct sockaddr_storage *address)
{
    memset(address, 0, sizeof(*address));
    address->ss_family = (sa_family_t)to->family;
    if (to->family == AF_INET6) {
        struct sockaddr_in6 *ipv6 = (struct sockaddr_in6 *)address;

        ipv6->sin6_addr = to->ipv6;
        ipv6->sin6_port = htons((uint16_t)port);
        return sizeof(*ipv6);
    } else {
        struct sockaddr_in *ipv4 = (struct sockaddr_in *)address;

        ipv4->sin_addr = to->ipv4;
        ipv4->sin_port = htons((uint16_t)port);
        return sizeof(*ipv4);
    }
}

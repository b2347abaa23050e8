/* SPDX-License-Identifier: MIT */
/*
 * Implements the server's side of DHCP. There is nothing to remember: whoever has the card's
 * address gets the one lease of the link, each time.
 */
#include "net/dhcp-message.h"

#include <arpa/inet.h>
#include <string.h>

#include "net/names.h"

/* Where the fields of a message are, RFC 2131 section 2. */
enum {
    AT_OP = 0,
    AT_HTYPE = 1,
    AT_HLEN = 2,
    AT_XID = 4,
    AT_FLAGS = 10,
    AT_CIADDR = 12,
    AT_YIADDR = 16,
    AT_GIADDR = 24,
    AT_CHADDR = 28,
    AT_COOKIE = 236,
    AT_OPTIONS = 240,
    SIZE_MIN = 300, /* what relays and old clients expect */
};

enum { OP_REQUEST = 1, OP_REPLY = 2, HTYPE_ETHERNET = 1 };

enum {
    OPTION_PAD = 0,
    OPTION_MASK = 1,
    OPTION_ROUTER = 3,
    OPTION_DNS = 6,
    OPTION_HOST = 12,
    OPTION_DOMAIN = 15,
    OPTION_MTU = 26,
    OPTION_BROADCAST = 28,
    OPTION_REQUESTED = 50,
    OPTION_LEASE = 51,
    OPTION_TYPE = 53,
    OPTION_SERVER = 54,
    OPTION_CLIENT = 61,
    OPTION_RAPID = 80,
    OPTION_END = 255,
};

enum { DISCOVER = 1, OFFER, REQUEST, DECLINE, ACK, NAK, RELEASE, INFORM };

static const uint8_t cookie[] = {99, 130, 83, 99};

/* What matters of a request. */
struct request {
    const uint8_t *message;
    uint8_t type;
    bool has_requested, has_server, is_rapid;
    struct in_addr client, requested, server;
    const uint8_t *client_id; /* of so many bytes; NULL: none */
    uint8_t client_id_size;
};

static struct in_addr read_address(const uint8_t *at)
{
    struct in_addr address;

    memcpy(&address, at, sizeof(address));
    return address;
}

static void take_option(struct request *request, uint8_t code, const uint8_t *value, uint8_t size)
{
    if (code == OPTION_TYPE && size == 1) {
        request->type = value[0];
    } else if (code == OPTION_REQUESTED && size == 4) {
        request->requested = read_address(value);
        request->has_requested = true;
    } else if (code == OPTION_SERVER && size == 4) {
        request->server = read_address(value);
        request->has_server = true;
    } else if (code == OPTION_CLIENT && size > 0) {
        request->client_id = value;
        request->client_id_size = size;
    } else if (code == OPTION_RAPID && size == 0) {
        request->is_rapid = true;
    }
}

/* False: it is none that a client on the link sends. */
static bool read_request(const struct dhcp_link *link, const uint8_t *message, size_t size,
                         struct request *request)
{
    static const uint8_t none[4];

    *request = (struct request){.message = message};
    if (size < AT_OPTIONS || message[AT_OP] != OP_REQUEST || message[AT_HTYPE] != HTYPE_ETHERNET ||
        message[AT_HLEN] != sizeof(link->mac) ||
        memcmp(message + AT_CHADDR, link->mac, sizeof(link->mac)) != 0 ||
        memcmp(message + AT_GIADDR, none, sizeof(none)) != 0 ||
        memcmp(message + AT_COOKIE, cookie, sizeof(cookie)) != 0)
        return false;
    request->client = read_address(message + AT_CIADDR);
    for (size_t at = AT_OPTIONS; at < size && message[at] != OPTION_END;) {
        if (message[at] == OPTION_PAD) {
            at++;
            continue;
        }
        if (at + 2 > size || at + 2 + message[at + 1] > size)
            return false;
        take_option(request, message[at], message + at + 2, message[at + 1]);
        at += 2u + message[at + 1];
    }
    return request->type != 0;
}

/* The type of the answer; 0: none is due. RFC 2131 section 4.3. */
static uint8_t judge(const struct dhcp_link *link, const struct request *request)
{
    const in_addr_t lease = link->place.guest.ipv4.s_addr;
    const in_addr_t wanted =
        request->has_requested ? request->requested.s_addr : request->client.s_addr;

    switch (request->type) {
    case DISCOVER:
        return request->is_rapid ? ACK : OFFER;
    case REQUEST:
        /* Another server's offer was taken. */
        if (request->has_server && request->server.s_addr != link->place.gateway.ipv4.s_addr)
            return 0;
        return wanted == lease ? ACK : NAK;
    case INFORM:
        return request->client.s_addr == lease ? ACK : 0;
    default:
        return 0;
    }
}

static void add(struct dhcp_answer *answer, uint8_t code, const void *value, size_t size)
{
    uint8_t *at = answer->message + answer->size;

    /* One byte is the end's. */
    if (size > UINT8_MAX || answer->size + 2 + size + 1 > sizeof(answer->message))
        return;
    at[0] = code;
    at[1] = (uint8_t)size;
    if (size > 0)
        memcpy(at + 2, value, size);
    answer->size += 2 + size;
}

static void add_number(struct dhcp_answer *answer, uint8_t code, uint32_t value)
{
    value = htonl(value);
    add(answer, code, &value, sizeof(value));
}

/* What a guest with the address should know. */
static void add_settings(const struct dhcp_link *link, struct dhcp_answer *answer)
{
    const in_addr_t mask = htonl(UINT32_MAX << (32 - link->place.guest.bits));
    const in_addr_t broadcast = link->place.guest.ipv4.s_addr | ~mask;
    const uint8_t mtu[] = {(uint8_t)(link->mtu >> 8), (uint8_t)link->mtu};

    add(answer, OPTION_MASK, &mask, sizeof(mask));
    add(answer, OPTION_BROADCAST, &broadcast, sizeof(broadcast));
    add(answer, OPTION_ROUTER, &link->place.gateway.ipv4, 4);
    add(answer, OPTION_DNS, &link->place.gateway.ipv4, 4);
    add(answer, OPTION_MTU, mtu, sizeof(mtu));
    add(answer, OPTION_DOMAIN, NAMES_DOMAIN, strlen(NAMES_DOMAIN));
    if (names_is_label(link->name))
        add(answer, OPTION_HOST, link->name, strlen(link->name));
}

static void write_answer(const struct dhcp_link *link, const struct request *request, uint8_t type,
                         struct dhcp_answer *answer)
{
    uint8_t *out = answer->message;

    out[AT_OP] = OP_REPLY;
    out[AT_HTYPE] = HTYPE_ETHERNET;
    out[AT_HLEN] = sizeof(link->mac);
    memcpy(out + AT_XID, request->message + AT_XID, 4);
    memcpy(out + AT_FLAGS, request->message + AT_FLAGS, 2);
    memcpy(out + AT_CHADDR, link->mac, sizeof(link->mac));
    memcpy(out + AT_COOKIE, cookie, sizeof(cookie));
    if (type != NAK)
        memcpy(out + AT_CIADDR, request->message + AT_CIADDR, 4);
    answer->size = AT_OPTIONS;
    add(answer, OPTION_TYPE, &type, 1);
    add(answer, OPTION_SERVER, &link->place.gateway.ipv4, 4);
    /* As RFC 6842 wants it. */
    if (request->client_id != NULL)
        add(answer, OPTION_CLIENT, request->client_id, request->client_id_size);
    if (type != NAK && request->type != INFORM) {
        memcpy(out + AT_YIADDR, &link->place.guest.ipv4, 4);
        add_number(answer, OPTION_LEASE, link->lease_s);
    }
    if (type == ACK && request->type == DISCOVER)
        add(answer, OPTION_RAPID, NULL, 0);
    if (type != NAK)
        add_settings(link, answer);
    out[answer->size++] = OPTION_END;
    if (answer->size < SIZE_MIN)
        answer->size = SIZE_MIN;
}

bool dhcp_answer(const struct dhcp_link *link, const uint8_t *message, size_t size,
                 struct dhcp_answer *answer)
{
    struct request request;
    uint8_t type;

    *answer = (struct dhcp_answer){.to = {.s_addr = htonl(INADDR_BROADCAST)}};
    if (!read_request(link, message, size, &request))
        return false;
    type = judge(link, &request);
    if (type == 0)
        return false;
    write_answer(link, &request, type, answer);
    answer->is_bound = type == ACK;
    /* Who has no address yet hears what is for all; nobody else is on the link. */
    if (type != NAK && request.client.s_addr == link->place.guest.ipv4.s_addr)
        answer->to = link->place.guest.ipv4;
    return true;
}

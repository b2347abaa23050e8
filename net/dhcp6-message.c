/* SPDX-License-Identifier: MIT */
/* Implements the server's side of DHCPv6, which remembers nothing either. */
#include "net/dhcp6-message.h"

#include <arpa/inet.h>
#include <string.h>

#include "net/names.h"

enum {
    SOLICIT = 1,
    ADVERTISE = 2,
    REQUEST = 3,
    CONFIRM = 4,
    RENEW = 5,
    REBIND = 6,
    REPLY = 7,
    RELEASE = 8,
    DECLINE = 9,
    INFORMATION_REQUEST = 11,
};

enum {
    OPTION_CLIENT = 1,
    OPTION_SERVER = 2,
    OPTION_IA_NA = 3,
    OPTION_ADDRESS = 5,
    OPTION_STATUS = 13,
    OPTION_RAPID = 14,
    OPTION_DNS = 23,
    OPTION_DOMAINS = 24,
};

enum { STATUS_SUCCESS = 0, STATUS_NO_ADDRESS = 2, STATUS_NO_BINDING = 3, STATUS_NOT_ON_LINK = 4 };

enum {
    HEADER_SIZE = 4,
    CLIENT_ID_MAX = 130, /* type and 128 bytes */
    SERVER_ID_SIZE = 18, /* DUID-UUID, RFC 6355 */
    IA_HEADER = 12,      /* IAID, T1, T2 */
    ADDRESS_SIZE = 24,   /* the address and two lifetimes */
    IAS_MAX = 4,
};

/* An identity association for an address. */
struct association {
    const uint8_t *options; /* within: what the client has had */
    size_t size;
    uint8_t id[4];
};

struct request {
    const uint8_t *message;
    const uint8_t *client_id, *server_id; /* NULL: none */
    size_t client_id_size, server_id_size;
    struct association associations[IAS_MAX];
    unsigned int count;
    bool is_rapid;
};

static unsigned int read16(const uint8_t *at)
{
    return (unsigned int)at[0] << 8 | at[1];
}

/* The next option from *at on. False: there is none, or it is cut short (then *at is not size). */
static bool next_option(const uint8_t *data, size_t size, size_t *at, unsigned int *code,
                        const uint8_t **value, size_t *value_size)
{
    if (size - *at < 4 || size - *at - 4 < read16(data + *at + 2))
        return false;
    *code = read16(data + *at);
    *value_size = read16(data + *at + 2);
    *value = data + *at + 4;
    *at += 4 + *value_size;
    return true;
}

static bool read_request(const uint8_t *message, size_t size, struct request *request)
{
    size_t at = HEADER_SIZE;
    unsigned int code;
    const uint8_t *value;
    size_t value_size;

    *request = (struct request){.message = message};
    if (size < HEADER_SIZE)
        return false;
    while (next_option(message, size, &at, &code, &value, &value_size)) {
        if (code == OPTION_CLIENT) {
            request->client_id = value;
            request->client_id_size = value_size;
        } else if (code == OPTION_SERVER) {
            request->server_id = value;
            request->server_id_size = value_size;
        } else if (code == OPTION_RAPID) {
            request->is_rapid = true;
        } else if (code == OPTION_IA_NA && value_size >= IA_HEADER && request->count < IAS_MAX) {
            struct association *ia = &request->associations[request->count++];

            memcpy(ia->id, value, sizeof(ia->id));
            ia->options = value + IA_HEADER;
            ia->size = value_size - IA_HEADER;
        }
    }
    return at == size && request->client_id_size <= CLIENT_ID_MAX;
}

/* ---- Writing ---- */

static uint8_t *grow(struct dhcp6_answer *answer, size_t size)
{
    uint8_t *at = answer->message + answer->size;

    if (sizeof(answer->message) - answer->size < size)
        return NULL;
    answer->size += size;
    return at;
}

static void put16(uint8_t *at, unsigned int value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

static void put32(uint8_t *at, uint32_t value)
{
    put16(at, value >> 16);
    put16(at + 2, value & 0xffff);
}

/* An option's head; its value of so many bytes is to be filled. NULL: no room. */
static uint8_t *add(struct dhcp6_answer *answer, unsigned int code, size_t size)
{
    uint8_t *at = grow(answer, 4 + size);

    if (at == NULL)
        return NULL;
    put16(at, code);
    put16(at + 2, (unsigned int)size);
    return at + 4;
}

static void add_bytes(struct dhcp6_answer *answer, unsigned int code, const void *value,
                      size_t size)
{
    uint8_t *at = add(answer, code, size);

    if (at != NULL)
        memcpy(at, value, size);
}

static void add_status(struct dhcp6_answer *answer, unsigned int status)
{
    uint8_t *at = add(answer, OPTION_STATUS, 2);

    if (at != NULL)
        put16(at, status);
}

static void add_address(struct dhcp6_answer *answer, const uint8_t address[16], uint32_t lifetime_s)
{
    uint8_t *at = add(answer, OPTION_ADDRESS, ADDRESS_SIZE);

    if (at == NULL)
        return;
    memcpy(at, address, 16);
    put32(at + 16, lifetime_s);
    put32(at + 20, lifetime_s);
}

/* Each of the link's, so that one server is not taken for another. */
static void server_id(const struct dhcp_link *link, uint8_t id[SERVER_ID_SIZE])
{
    put16(id, 4);
    memcpy(id + 2, link->place.gateway6.ipv6.s6_addr, 16);
}

size_t dhcp6_write_domain(uint8_t *out, size_t room)
{
    static const char domain[] = NAMES_DOMAIN;
    size_t size = 0;

    for (const char *at = domain; *at != '\0';) {
        size_t length = strcspn(at, ".");

        if (size + length + 2 > room)
            return 0;
        out[size++] = (uint8_t)length;
        memcpy(out + size, at, length);
        size += length;
        at += length + (at[length] == '.');
    }
    out[size++] = 0;
    return size;
}

/* The first association gets the address, others none; what a client had besides is no more. */
static void add_association(const struct dhcp_link *link, const struct request *request,
                            unsigned int number, struct dhcp6_answer *answer)
{
    const struct association *ia = &request->associations[number];
    const uint8_t *lease = link->place.guest6.ipv6.s6_addr;
    const size_t begin = answer->size;
    uint8_t *head = add(answer, OPTION_IA_NA, IA_HEADER);
    const uint8_t *value;
    size_t at = 0;
    size_t value_size;
    unsigned int code;

    if (head == NULL)
        return;
    memcpy(head, ia->id, sizeof(ia->id));
    put32(head + 4, link->lease_s / 2);
    put32(head + 8, link->lease_s / 5 * 4);
    if (number == 0)
        add_address(answer, lease, link->lease_s);
    while (next_option(ia->options, ia->size, &at, &code, &value, &value_size))
        if (code == OPTION_ADDRESS && value_size >= ADDRESS_SIZE &&
            (number > 0 || memcmp(value, lease, 16) != 0))
            add_address(answer, value, 0);
    if (number > 0)
        add_status(answer, STATUS_NO_ADDRESS);
    put16(answer->message + begin + 2, (unsigned int)(answer->size - begin - 4));
}

/* Whether all addresses that the client has are of the link. -1: it names none. */
static int are_on_link(const struct dhcp_link *link, const struct request *request)
{
    int result = -1;

    for (unsigned int i = 0; i < request->count; i++) {
        const uint8_t *value;
        size_t at = 0;
        size_t value_size;
        unsigned int code;

        while (next_option(request->associations[i].options, request->associations[i].size, &at,
                           &code, &value, &value_size)) {
            if (code != OPTION_ADDRESS || value_size < ADDRESS_SIZE)
                continue;
            if (memcmp(value, link->place.guest6.ipv6.s6_addr, PLAN_NET6_BITS / 8) != 0)
                return 0;
            result = 1;
        }
    }
    return result;
}

/* The type of the answer; 0: none is due. RFC 8415 sections 16 and 18.3. */
static uint8_t judge(const struct dhcp_link *link, const struct request *request)
{
    uint8_t own[SERVER_ID_SIZE];
    bool is_ours;

    server_id(link, own);
    is_ours = request->server_id != NULL && request->server_id_size == sizeof(own) &&
              memcmp(request->server_id, own, sizeof(own)) == 0;
    switch (request->message[0]) {
    case SOLICIT:
        if (request->client_id == NULL || request->server_id != NULL)
            return 0;
        return request->is_rapid ? REPLY : ADVERTISE;
    case REQUEST:
    case RENEW:
    case RELEASE:
    case DECLINE:
        return request->client_id != NULL && is_ours ? REPLY : 0;
    case CONFIRM:
        return request->client_id != NULL && request->server_id == NULL &&
                       are_on_link(link, request) >= 0
                   ? REPLY
                   : 0;
    case REBIND:
        return request->client_id != NULL && request->server_id == NULL ? REPLY : 0;
    case INFORMATION_REQUEST:
        return request->server_id == NULL || is_ours ? REPLY : 0;
    default:
        return 0;
    }
}

static void add_settings(const struct dhcp_link *link, struct dhcp6_answer *answer)
{
    uint8_t domain[64];

    add_bytes(answer, OPTION_DNS, link->place.gateway6.ipv6.s6_addr, 16);
    add_bytes(answer, OPTION_DOMAINS, domain, dhcp6_write_domain(domain, sizeof(domain)));
}

bool dhcp6_answer(const struct dhcp_link *link, const uint8_t *message, size_t size,
                  struct dhcp6_answer *answer)
{
    uint8_t own[SERVER_ID_SIZE];
    struct request request;
    uint8_t type;

    *answer = (struct dhcp6_answer){.size = HEADER_SIZE};
    if (!read_request(message, size, &request))
        return false;
    type = judge(link, &request);
    if (type == 0)
        return false;
    answer->message[0] = type;
    memcpy(answer->message + 1, message + 1, 3); /* the transaction */
    if (request.client_id != NULL)
        add_bytes(answer, OPTION_CLIENT, request.client_id, request.client_id_size);
    server_id(link, own);
    add_bytes(answer, OPTION_SERVER, own, sizeof(own));
    switch (message[0]) {
    case RELEASE:
    case DECLINE:
        add_status(answer, STATUS_SUCCESS);
        return true;
    case CONFIRM:
        add_status(answer, are_on_link(link, &request) == 1 ? STATUS_SUCCESS : STATUS_NOT_ON_LINK);
        return true;
    case INFORMATION_REQUEST:
        break;
    default:
        if (message[0] == SOLICIT && type == REPLY)
            (void)add(answer, OPTION_RAPID, 0);
        for (unsigned int i = 0; i < request.count; i++)
            add_association(link, &request, i, answer);
        answer->is_bound = type == REPLY && request.count > 0;
        break;
    }
    add_settings(link, answer);
    return true;
}

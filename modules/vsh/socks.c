/* SPDX-License-Identifier: MIT */
/* The server's side of SOCKS. */
#include "modules/vsh/socks.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#define COMMAND_CONNECT 1

#define METHOD_NONE     0x00
#define METHOD_NO_MATCH 0xff

#define ADDRESS_IPV4   1
#define ADDRESS_DOMAIN 3
#define ADDRESS_IPV6   4

#define REPLY5_SUCCEEDED       0
#define REPLY5_REFUSED         5
#define REPLY5_NOT_SUPPORTED   7
#define REPLY5_NO_SUCH_ADDRESS 8
#define REPLY4_GRANTED         0x5a
#define REPLY4_REJECTED        0x5b

static size_t reply5(uint8_t code, uint8_t reply[SOCKS_REPLY_MAX])
{
    memset(reply, 0, SOCKS_REPLY_MAX);
    reply[0] = 5;
    reply[1] = code;
    reply[3] = ADDRESS_IPV4;
    return SOCKS_REPLY_MAX;
}

static size_t reply4(uint8_t code, uint8_t reply[SOCKS_REPLY_MAX])
{
    memset(reply, 0, 8);
    reply[1] = code;
    return 8;
}

size_t socks_reply(const struct socks *socks, bool is_connected, uint8_t reply[SOCKS_REPLY_MAX])
{
    if (socks->version == 4)
        return reply4(is_connected ? REPLY4_GRANTED : REPLY4_REJECTED, reply);
    return reply5(is_connected ? REPLY5_SUCCEEDED : REPLY5_REFUSED, reply);
}

static void set_host(struct socks *socks, const uint8_t *text, size_t size)
{
    memcpy(socks->host, text, size);
    socks->host[size] = '\0';
}

/* Version 4: command, port, address, user, and in 4a a host's name; both texts end with NUL. */
static int take4(struct socks *socks, const uint8_t *data, size_t size, size_t *taken)
{
    const uint8_t *user_end;
    const uint8_t *host;
    const uint8_t *host_end;

    if (size < 9)
        return 0;
    user_end = memchr(data + 8, '\0', size - 8);
    if (user_end == NULL)
        return size > SOCKS_REQUEST_MAX / 2 ? -EINVAL : 0;
    if (data[1] != COMMAND_CONNECT)
        return -EOPNOTSUPP;
    socks->port = (unsigned int)data[2] << 8 | data[3];
    if (data[4] != 0 || data[5] != 0 || data[6] != 0 || data[7] == 0) {
        (void)inet_ntop(AF_INET, data + 4, socks->host, sizeof(socks->host));
        *taken = (size_t)(user_end + 1 - data);
        return 1;
    }
    host = user_end + 1;
    host_end = memchr(host, '\0', (size_t)(data + size - host));
    if (host_end == NULL)
        return (size_t)(data + size - host) > 255 ? -EINVAL : 0;
    if (host_end == host || host_end - host > 255)
        return -EINVAL;
    set_host(socks, host, (size_t)(host_end - host));
    *taken = (size_t)(host_end + 1 - data);
    return 1;
}

static int greet5(struct socks *socks, const uint8_t *data, size_t size, size_t *taken,
                  uint8_t reply[SOCKS_REPLY_MAX], size_t *reply_size)
{
    bool has_none;

    if (size < 2 || size < 2u + data[1])
        return 0;
    has_none = memchr(data + 2, METHOD_NONE, data[1]) != NULL;
    reply[0] = 5;
    reply[1] = has_none ? METHOD_NONE : METHOD_NO_MATCH;
    *reply_size = 2;
    *taken = 2u + data[1];
    socks->is_greeted = true;
    return has_none ? 0 : -EACCES;
}

/* The length of an address of that kind, with its own length in front for a name; 0: unknown. */
static size_t address_size(const uint8_t *data, size_t size)
{
    switch (data[3]) {
    case ADDRESS_IPV4:
        return 4;
    case ADDRESS_IPV6:
        return 16;
    case ADDRESS_DOMAIN:
        return size < 5 ? 1 : 1u + data[4];
    default:
        return 0;
    }
}

static int take5(struct socks *socks, const uint8_t *data, size_t size, size_t *taken,
                 uint8_t reply[SOCKS_REPLY_MAX], size_t *reply_size)
{
    size_t address;

    if (size < 4)
        return 0;
    address = address_size(data, size);
    if (data[0] != 5 || data[1] != COMMAND_CONNECT || address == 0) {
        *reply_size = reply5(address == 0 ? REPLY5_NO_SUCH_ADDRESS : REPLY5_NOT_SUPPORTED, reply);
        return -EOPNOTSUPP;
    }
    if (size < 5 || size < 4 + address + 2)
        return 0;
    if (data[3] == ADDRESS_IPV4)
        (void)inet_ntop(AF_INET, data + 4, socks->host, sizeof(socks->host));
    else if (data[3] == ADDRESS_IPV6)
        (void)inet_ntop(AF_INET6, data + 4, socks->host, sizeof(socks->host));
    else if (data[4] == 0 || memchr(data + 5, '\0', data[4]) != NULL)
        return -EINVAL;
    else
        set_host(socks, data + 5, data[4]);
    socks->port = (unsigned int)data[4 + address] << 8 | data[4 + address + 1];
    *taken = 4 + address + 2;
    return 1;
}

int socks_take(struct socks *socks, const uint8_t *data, size_t size, size_t *taken,
               uint8_t reply[SOCKS_REPLY_MAX], size_t *reply_size)
{
    int r;

    *taken = 0;
    *reply_size = 0;
    if (size == 0)
        return 0;
    if (socks->version == 0)
        socks->version = data[0];
    if (socks->version == 4) {
        r = take4(socks, data, size, taken);
        if (r < 0)
            *reply_size = reply4(REPLY4_REJECTED, reply);
        return r;
    }
    if (socks->version != 5)
        return -EPROTO;
    if (!socks->is_greeted)
        return greet5(socks, data, size, taken, reply, reply_size);
    return take5(socks, data, size, taken, reply, reply_size);
}

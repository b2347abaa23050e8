/* SPDX-License-Identifier: MIT */
/* The server's side of SOCKS 4, 4a and 5 (RFC 1928), for connecting without authentication. */
#ifndef VSH_SOCKS_H
#define VSH_SOCKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SOCKS_REPLY_MAX 10
/* What a client may say before its request is whole. */
#define SOCKS_REQUEST_MAX 600

struct socks {
    bool is_greeted; /* version 5: the methods were agreed on */
    uint8_t version; /* 0: not known yet */
    char host[256];
    unsigned int port;
};

/*
 * Takes the front of what the client has said: 1 when the request is known; 0 when more is
 * needed, after *taken bytes; negative: no request that is served, and the client gets the
 * reply and its end. *reply_size bytes (maybe 0) of reply are to be sent at once.
 */
int socks_take(struct socks *socks, const uint8_t *data, size_t size, size_t *taken,
               uint8_t reply[SOCKS_REPLY_MAX], size_t *reply_size);

/* The reply to the request: whether it was connected. The count of bytes. */
size_t socks_reply(const struct socks *socks, bool is_connected, uint8_t reply[SOCKS_REPLY_MAX]);

#endif

/* SPDX-License-Identifier: MIT */
/* What a forwarding leads from and to, as people write it, in the order and form that ssh has. */
#ifndef VSH_ENDPOINT_H
#define VSH_ENDPOINT_H

#include <stdbool.h>

#include <crosh/error.h>

#include "lib/wire/streams.pb-c.h"

struct endpoint {
    char host[256]; /* TCP; empty: the loopback */
    unsigned int port;
    char path[108]; /* a unix socket; with is_name a purpose, "@x11" */
    bool is_unix;
    bool is_name;
};

/* A rule: where is listened, and where those who connect there are led. */
struct forward_rule {
    struct endpoint from;
    struct endpoint to; /* not for SOCKS: the client says */
};

/* "[BIND:]PORT:HOST:PORT", with "/PATH" for either end, "[...]" around IPv6 addresses. */
int forward_rule_parse(struct forward_rule *rule, const char *text, struct crosh_error *err);
/* "[BIND:]PORT" or "/PATH": only where is listened. */
int forward_rule_parse_dynamic(struct forward_rule *rule, const char *text,
                               struct crosh_error *err);
/* "PORT", "HOST:PORT" or "/PATH": only where it leads. */
int endpoint_parse(struct endpoint *endpoint, const char *text, struct crosh_error *err);

/* "127.0.0.1:80" or the path, for messages. Returns buf. */
const char *endpoint_text(const struct endpoint *endpoint, char *buf, size_t size);

/* The endpoint in the protocol's form: place and tcp are filled, and point into it. */
void endpoint_to_place(const struct endpoint *endpoint, Streams__Place *place, Streams__Tcp *tcp);

/* Listens at an endpoint of this host: a non-blocking socket, or negative. */
int endpoint_listen(const struct endpoint *endpoint, struct crosh_error *err);
/* Begins to connect to an endpoint of this host: a non-blocking socket, or negative errno. */
int endpoint_connect(const struct endpoint *endpoint);

#endif

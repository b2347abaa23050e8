/* SPDX-License-Identifier: MIT */
/* Published ports as people write them and configurations hold them. */
#ifndef CROSH_NET_PUBLISH_H
#define CROSH_NET_PUBLISH_H

#include <stdbool.h>

#include <crosh/error.h>

struct crosh_publish {
    char container[64]; /* empty: the VM itself */
    char bind[46];      /* empty: 127.0.0.1 */
    unsigned int host_port, guest_port;
    bool is_udp;
};

/*
 * Reads "[CONTAINER ][ADDRESS:]HOSTPORT:GUESTPORT[/tcp|/udp]", an IPv6 address in brackets. 0, or
 * CROSH_EUSAGE with err filled.
 */
int crosh_priv_publish_parse(const char *text, struct crosh_publish *publish,
                             struct crosh_error *err);

/* The longest text with its end. */
#define CROSH_PUBLISH_TEXT 160
/* The same form again; returns buf, of CROSH_PUBLISH_TEXT. */
const char *crosh_priv_publish_text(const struct crosh_publish *publish, char *buf);

#endif

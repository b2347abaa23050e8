/* SPDX-License-Identifier: MIT */
/* A socket for echo requests: the kernel's unprivileged kind where it is allowed, else a raw one.
 */
#ifndef MODULES_NET_PING_SOCKET_H
#define MODULES_NET_PING_SOCKET_H

#include <stdbool.h>
#include <stdint.h>

#include "modules/net/icmp.h"
#include "modules/net/resolve.h"

struct ping_socket {
    int fd; /* -1: not open */
    bool is_ipv6, is_raw;
    uint16_t id; /* of raw requests; the kernel puts its own into the others */
    int last_ttl;
};

struct ping_socket_options {
    int ttl;               /* 0: the system's */
    const char *interface; /* a link's name or an own address to send from; NULL: any */
};

/* What came in. */
struct ping_message {
    union net_address from;
    struct icmp_reply reply;
    int64_t time_ns; /* CLOCK_REALTIME, by the kernel; 0: it did not tell */
    int ttl;         /* -1: not told */
    /* An ICMP error about a request of ours: is_error, with from its sender. */
    bool is_error;
    uint8_t error_type, error_code;
    uint16_t error_sequence;
    union net_address error_target; /* whom the request was for */
};

/* is_inside: in the VMs' network, by their keeper. 0, or negative with err filled: -EPERM with a
 * hint where neither kind is allowed. */
int ping_socket_open(struct ping_socket *sock, bool is_ipv6, bool is_inside,
                     const struct ping_socket_options *options, struct crosh_error *err);
void ping_socket_close(struct ping_socket *sock);

/* Sends one request, never waiting. 0 or a negative errno. */
int ping_socket_send(struct ping_socket *sock, const union net_address *to, uint16_t sequence,
                     size_t payload);

/* Takes one message: 1 with message filled; 0 when it is none of ours; -EAGAIN when there is none,
   or another negative errno. */
int ping_socket_receive(struct ping_socket *sock, struct ping_message *message);

#endif

/* SPDX-License-Identifier: MIT */
/* What the keeper and its front tell each other. Both are one program: plain structures. */
#ifndef NET_FRONT_MESSAGE_H
#define NET_FRONT_MESSAGE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <crosh/vm.h>

#include "net/lookup.h"
#include "net/names.h"
#include "net/plan.h"

/* The sockets that a VM is served through, made by the keeper. */
enum front_socket {
    FRONT_DNS_UDP,
    FRONT_DNS_UDP6,
    FRONT_DNS_TCP,
    FRONT_DNS_TCP6,
    FRONT_DHCP,
    FRONT_DHCP6,
    FRONT_ROUTER,
    FRONT_SOCKETS
};

enum front_op {
    FRONT_ADD,    /* to the front: a VM, with its sockets */
    FRONT_REMOVE, /* to the front */
    FRONT_ASK,    /* from the front: a container's addresses are wanted */
    FRONT_TOLD,   /* to the front: they are these */
    FRONT_GUEST,  /* from the front: what is known of the guest now */
    FRONT_DIAL,   /* from the front, which waits: a socket to a name server of the host's */
    FRONT_DIALLED /* to the front: with the socket, if there is such a server */
};

/* The guest has no word for it; of FRONT_TOLD. */
#define FRONT_FAILED UINT32_MAX

struct front_message {
    enum front_op op;
    uint32_t id;     /* of FRONT_ASK and its answer */
    uint32_t number; /* the VM's place; of FRONT_DIAL and its answer: the server, counted from 0 */
    uint32_t range, mtu;
    uint32_t sockets; /* of FRONT_ADD: a bit for each that comes along, in their order */
    int32_t type;     /* of FRONT_DIAL: SOCK_DGRAM or SOCK_STREAM */
    uint8_t site[PLAN_SITE_BYTES];
    char name[CROSH_VM_NAME_MAX + 1];
    uint8_t mac[6];
    char container[NAMES_CONTAINER_MAX];
    bool lacks_ipv6; /* of FRONT_GUEST: it has taken an IPv4 address, and no IPv6 one */
    uint32_t count;  /* of FRONT_TOLD */
    struct plan_prefix addresses[LOOKUP_ADDRESSES_MAX];
};

/* Sends it with so many descriptors, which stay the caller's. 0 or negative errno. */
int front_send(int fd, const struct front_message *message, const int *fds, size_t count);

/*
 * Receives one, and the descriptors that came along: -1 behind the last. 1; 0 at the end of the
 * stream; negative errno, -EBADMSG for what is none.
 */
int front_receive(int fd, struct front_message *message, int fds[FRONT_SOCKETS]);

#endif

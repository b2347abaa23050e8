/* SPDX-License-Identifier: MIT */
/* The TCP ports that the guest's programs listen on, as the kernel knows them. */
#ifndef AGENT_PORTS_H
#define AGENT_PORTS_H

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>

#define LISTENERS_MAX 256u

struct listener_port {
    uint16_t port;
    char address[INET6_ADDRSTRLEN];
};

/*
 * Fills at most LISTENERS_MAX, sorted by port and address, each once. The count, or negative
 * errno.
 */
int ports_list(struct listener_port ports[LISTENERS_MAX]);

/* The same of another network namespace, by a descriptor of it; this process has one thread. */
int ports_list_in(int network, struct listener_port ports[LISTENERS_MAX]);

#endif

/* SPDX-License-Identifier: MIT */
/* The services of sessions: accepts streams and gives each a session process, within bounds. */
#ifndef AGENT_SERVER_H
#define AGENT_SERVER_H

#include <stddef.h>

#define SERVER_PORTS_MAX    8
#define SERVER_SESSIONS_MAX 256u

/* A listening socket, and what is done with each stream that it accepts. */
struct server_port {
    int listener;
    void (*run)(int fd);                        /* in a process of its own */
    void (*refuse)(int fd, const char *reason); /* instead, for lack of room */
};

/*
 * Serves the ports until SIGTERM or SIGINT; sessions under way, of which there may be
 * sessions_max over all ports, go on. 0, or negative errno when it cannot work at all.
 */
int server_run(const struct server_port *ports, size_t count, unsigned int sessions_max);

#endif

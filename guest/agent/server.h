/* SPDX-License-Identifier: MIT */
/* The vsh service: accepts streams and gives each a session process, within bounds. */
#ifndef AGENT_SERVER_H
#define AGENT_SERVER_H

#include <stddef.h>

#define SERVER_LISTENERS_MAX 4
#define SERVER_SESSIONS_MAX  256u

/*
 * Serves the listening sockets until SIGTERM or SIGINT; sessions under way go
 * on. 0, or negative errno when it cannot work at all.
 */
int server_run(const int *listeners, size_t count, unsigned int sessions_max);

#endif

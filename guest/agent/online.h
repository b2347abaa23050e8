/* SPDX-License-Identifier: MIT */
/* Waiting for the network of a system that starts: its address, and a name server that answers. */
#ifndef AGENT_ONLINE_H
#define AGENT_ONLINE_H

#include <stddef.h>
#include <stdint.h>

#include <crosh/error.h>

#define ONLINE_QUERY_MAX 128

/*
 * Waits until this system (in a container: the container) has an address of the world beyond it,
 * and a name server of resolv.conf's answers. A system without any network card has nothing to wait
 * for. 0; -EADDRNOTAVAIL, -ENOENT or -ETIMEDOUT when after timeout_ms there is no address, no name
 * server, or no answer from it.
 */
int online_wait(int timeout_ms, struct crosh_error *err);

/* A query (RFC 1035 section 4.1) for the address of that name in LXD's domain; its size. */
size_t online_query(uint8_t query[ONLINE_QUERY_MAX], uint16_t id, const char *name);

/*
 * How a name server answers the query of that id (RCODE, RFC 1035 section 4.1.1); -1: the message
 * is something else.
 */
int online_answer(const uint8_t *message, size_t size, uint16_t id);

#endif

/* SPDX-License-Identifier: MIT */
/* A stream that is led on to another, in the event loop. */
#ifndef NET_RELAY_H
#define NET_RELAY_H

#include <stddef.h>

#include "kvm/event-loop.h"

struct relay;

/*
 * Relays between client and server, which is being connected still; both become the relay's, also
 * when it fails. first: what goes to the server before anything of the client's. ended is called
 * once, when it is over or could not connect, and the relay is gone then. NULL: no memory.
 */
struct relay *relay_start(struct event_loop *loop, int client, int server, const void *first,
                          size_t size, void (*ended)(void *opaque), void *opaque);
/* Ends it without a call of ended(). Accepts NULL. */
void relay_stop(struct relay *relay);

#endif

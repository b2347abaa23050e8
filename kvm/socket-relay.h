/* SPDX-License-Identifier: MIT */
/* Moves bytes between two stream sockets on the event loop, both ways, until both have ended. */
#ifndef KVM_SOCKET_RELAY_H
#define KVM_SOCKET_RELAY_H

#include "kvm/event-loop.h"

struct socket_relay;

/* The relay is over and may be freed from within the call. */
typedef void socket_relay_done_fn(void *opaque);

/*
 * Begins to relay between a and b: connected, non-blocking stream sockets, owned from here on,
 * also on failure. What one side does not take yet is kept, at most 64 KiB a direction, and the
 * other side is not read meanwhile. The end of one direction is passed on (shutdown(2)); an
 * error ends both. NULL when memory lacks. All on the loop's thread.
 */
struct socket_relay *socket_relay_new(struct event_loop *loop, int a, int b,
                                      socket_relay_done_fn *done, void *opaque);
/* Closes both sockets; without a call of done. Accepts NULL. */
void socket_relay_free(struct socket_relay *relay);

#endif

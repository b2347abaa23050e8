/* SPDX-License-Identifier: MIT */
/* The host's side of a guest whose vsock the kernel serves: the sockets that every VM has. */
#ifndef KVM_VSOCK_BRIDGE_H
#define KVM_VSOCK_BRIDGE_H

#include <stdbool.h>
#include <stdint.h>

#include <crosh/error.h>

#include "kvm/event-loop.h"
#include "kvm/virtio/vsock.h"

struct vsock_bridge;

/*
 * Does for a guest that is a peer of the host's AF_VSOCK sockets what the device in vsock.h does
 * by itself, with the same sockets, bounds and deadlines: takes "CONNECT port" at
 * config->socket_path, and the guest's connections to port P to "<path>_<P>". Before the
 * launcher is confined; max_connections and deadline_ms have the same defaults. NULL with err
 * filled.
 */
struct vsock_bridge *vsock_bridge_new(struct event_loop *loop, const struct vsock_config *config,
                                      struct crosh_error *err);
/*
 * Serves a port of the host in the launcher, one only; *port: what it became, as another program
 * may have that port. accept as in vsock_listen().
 */
int vsock_bridge_listen(struct vsock_bridge *bridge, uint32_t *port, vsock_accept_fn *accept,
                        void *opaque, struct crosh_error *err);
/*
 * The guest's driver has come, or is gone: then every stream is closed, and new clients are
 * until it is back, as nobody could answer them.
 */
void vsock_bridge_set_driver(struct vsock_bridge *bridge, bool is_there);
/* Closes all, and removes the socket. Accepts NULL. */
void vsock_bridge_free(struct vsock_bridge *bridge);

#endif

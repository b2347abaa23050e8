/* SPDX-License-Identifier: MIT */
/* The host's ports that a guest of the kernel's vsock may connect to: AF_VSOCK listeners. */
#ifndef KVM_VSOCK_PORTS_H
#define KVM_VSOCK_PORTS_H

#include <stdbool.h>
#include <stdint.h>

#include <crosh/error.h>

#include "kvm/event-loop.h"

/*
 * A guest's connection to port; fd is connected, non-blocking and the callee's. path: the socket
 * that serves the port, or NULL for a port that was given to vsock_ports_serve().
 */
typedef void vsock_ports_fn(void *opaque, int fd, uint32_t port, const char *path);

struct vsock_ports;

/*
 * Listens at every port P for which there is, or comes to be, a socket "<socket_path>_<P>", as long
 * as it is there: 64 at most. Connections of others than guest_cid are closed. Opens what it needs
 * from the file system: before the launcher is confined. NULL with err filled.
 */
struct vsock_ports *vsock_ports_new(struct event_loop *loop, const char *socket_path,
                                    uint32_t guest_cid, vsock_ports_fn *fn, void *opaque,
                                    struct crosh_error *err);
/*
 * Listens at a port for the launcher itself: *port, or where another program of this host has
 * that, at one that is free, then in *port.
 */
int vsock_ports_serve(struct vsock_ports *ports, uint32_t *port, struct crosh_error *err);
void vsock_ports_free(struct vsock_ports *ports);

#endif

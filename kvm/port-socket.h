/* SPDX-License-Identifier: MIT */
/* A named port of virtio-console on the host: a unix socket for one program at a time. */
#ifndef KVM_PORT_SOCKET_H
#define KVM_PORT_SOCKET_H

#include "kvm/virtio/console.h"

struct port_socket;

/*
 * Adds the port to the console, and serves it on listen_fd (a listening socket, not
 * owned). NULL with err filled. The console must not be freed before the socket.
 */
struct port_socket *port_socket_new(struct event_loop *loop, struct virtio_device *console,
                                    const char *name, int listen_fd, struct crosh_error *err);
/* Hangs up. Accepts NULL. */
void port_socket_free(struct port_socket *port);

#endif

/* SPDX-License-Identifier: MIT */
/* A named port on the host: a unix socket, behind which one program at a time talks to the guest.
 */
#ifndef KVM_PORT_SOCKET_H
#define KVM_PORT_SOCKET_H

#include "kvm/event-loop.h"
#include "kvm/virtio/console.h"

struct port_socket;

/* The guest's end of a port; as the functions of these names in kvm/virtio/console.h. */
struct port_guest_ops {
    void (*connect)(void *guest, bool is_open);
    size_t (*input)(void *guest, const void *data, size_t size);
    size_t (*room)(void *guest);
    bool (*is_idle)(void *guest);
    void (*drain)(void *guest);
};

/*
 * Serves a port on listen_fd (a listening socket, not owned). NULL with err filled. Its guest's end
 * is set before anybody connects.
 */
struct port_socket *port_socket_new(struct event_loop *loop, const char *name, int listen_fd,
                                    struct crosh_error *err);
void port_socket_set_guest(struct port_socket *port, const struct port_guest_ops *ops, void *guest);
/* The same with a port of the console for its end, which is added; the console must not be freed
   before the socket. 0, or negative with err filled. */
int port_socket_add_to_console(struct port_socket *port, struct virtio_device *console,
                               struct crosh_error *err);
/* Hangs up. Accepts NULL. */
void port_socket_free(struct port_socket *port);

/* Whether it is called so. */
bool port_socket_is(const struct port_socket *port, const char *name);
/* Takes a connected stream for its client; owned, also on failure. -EBUSY: there is one. */
int port_socket_adopt(struct port_socket *port, int fd, struct crosh_error *err);

/* What the guest's end says: struct virtio_console_port_ops, of which opaque is the port. */
extern const struct virtio_console_port_ops port_socket_ops;

#endif

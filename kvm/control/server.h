/* SPDX-License-Identifier: MIT */
/* control.sock: serves the control protocol (control.proto) to several clients at once. */
#ifndef KVM_CONTROL_SERVER_H
#define KVM_CONTROL_SERVER_H

#include "kvm/event-loop.h"
#include "lib/wire/control.pb-c.h"

struct control_server;

/* What the protocol's requests mean; carried out on the loop's thread. */
struct control_ops {
    /* Fills reply; what it points to must stay valid until the next call of the ops. */
    void (*status)(void *opaque, Control__StatusReply *reply);
    int (*stop)(void *opaque, const Control__StopRequest *request, struct crosh_error *err);
};

/* NULL with err filled when the socket cannot be made. */
struct control_server *control_server_new(struct event_loop *loop, const char *socket_path,
                                          const struct control_ops *ops, void *opaque,
                                          struct crosh_error *err);
/* Closes every client and removes the socket; what a client has not read yet stays readable. */
void control_server_free(struct control_server *server);

/* Adopts a connected stream as a client that is subscribed already; owns fd, also on failure. */
int control_server_adopt(struct control_server *server, int fd, struct crosh_error *err);

/* Sends an event to every subscriber. */
void control_server_event(struct control_server *server, Control__Event *event);

#endif

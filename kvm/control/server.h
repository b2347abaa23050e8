/* SPDX-License-Identifier: MIT */
/* control.sock: serves the control protocol (control.proto) to several clients at once. */
#ifndef KVM_CONTROL_SERVER_H
#define KVM_CONTROL_SERVER_H

#include "kvm/event-loop.h"
#include "lib/wire/control.pb-c.h"

#define CONTROL_VERSION 1

struct control_server;
struct control_call;

/* What a handler returns that has answered by itself, or will. */
#define CONTROL_ANSWERED 1

/*
 * Carries out one request, on the loop's thread. 0: done, and the server answers so;
 * negative with err filled: the server answers with that; CONTROL_ANSWERED: the handler
 * has called control_answer(), or it, or who it gave the call to, will do so later.
 * Until then the client's next request waits, and answers keep their order.
 */
typedef int control_request_fn(struct control_call *call, void *opaque, struct crosh_error *err);

/* A row of the table of requests; the last one's run is NULL. */
struct control_request {
    Control__Request__OpCase op;
    control_request_fn *run;
};

/* The request, as long as the call. */
const Control__Request *control_call_request(const struct control_call *call);
/* The next of the descriptors that came with the request, now the caller's; -1: there are no more.
   Those that nobody takes are closed with the call. */
int control_call_take_fd(struct control_call *call);
/* Its client gets events from now on. */
void control_call_subscribe(struct control_call *call);
/*
 * Ends the call with a response, of which id and version are filled in; it may live on the
 * caller's stack. Each call must be answered once, also when its client or the server
 * is gone by now.
 */
void control_answer(struct control_call *call, Control__Response *response);
/* The same with nothing but success (0), or an error. */
void control_answer_code(struct control_call *call, int code, const struct crosh_error *err);

/* requests: the table, which stays the caller's. NULL with err filled when the socket cannot be
   made. */
struct control_server *control_server_new(struct event_loop *loop, const char *socket_path,
                                          const struct control_request *requests, void *opaque,
                                          struct crosh_error *err);
/* Closes every client and removes the socket; what a client has not read yet stays readable. */
void control_server_free(struct control_server *server);

/* Adopts a connected stream as a client that is subscribed already; owns fd, also on failure. */
int control_server_adopt(struct control_server *server, int fd, struct crosh_error *err);

/* Sends an event to every subscriber. */
void control_server_event(struct control_server *server, Control__Event *event);

#endif

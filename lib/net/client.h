/* SPDX-License-Identifier: MIT */
/* Asking the keeper of the VMs' network (crosh-net), which is started when it is needed. */
#ifndef CROSH_NET_CLIENT_H
#define CROSH_NET_CLIENT_H

#include <stdbool.h>
#include <stddef.h>

#include <crosh/error.h>

#include "lib/net/publish.h"
#include "lib/net/socket.h"
#include "lib/wire/net.pb-c.h"

/*
 * Asks the keeper of this session's runtime directory and waits for the answer. start: a keeper
 * that is not there is started; else -ENOTCONN. 0 with *response (freed by
 * crosh_priv_net_response_free()) and, with fds of CROSH_NET_FDS_MAX, the descriptors that came
 * along, *count of them, the caller's; or negative with err filled, the keeper's
 * refusals among them.
 */
int crosh_priv_net_call(Net__Request *request, bool start, Net__Response **response, int *fds,
                        size_t *count, struct crosh_error *err);
/* Accepts NULL. */
void crosh_priv_net_response_free(Net__Response *response);

/*
 * Makes a VM's link with so many queues, the ports published: 0 with a response that has "attached"
 * and *count descriptors of the tap interface in fds, or negative. Starts the keeper.
 */
int crosh_priv_net_attach(const char *vm, unsigned int queues, bool isolated,
                          const struct crosh_publish *published, size_t published_count,
                          Net__Response **response, int fds[CROSH_NET_FDS_MAX], size_t *count,
                          struct crosh_error *err);

/* The response has "listing"; NULL with err filled, -ENOTCONN when there is no keeper. */
Net__Response *crosh_priv_net_list(struct crosh_error *err);

/* Switches a VM's link on or off. */
int crosh_priv_net_set_link(const char *vm, bool up, struct crosh_error *err);

/* Publishes a port of a running VM, or (remove) no longer. */
int crosh_priv_net_publish(const char *vm, bool remove, const struct crosh_publish *what,
                           struct crosh_error *err);

/* A socket for echo requests in the VMs' network; *is_raw: its kind. Negative with err filled. */
int crosh_priv_net_ping_socket(bool is_ipv6, bool *is_raw, struct crosh_error *err);

/* A packet socket (non-blocking) that sees the frames of a VM's link; negative with err filled. */
int crosh_priv_net_capture(const char *vm, struct crosh_error *err);

/* The response has "addresses": -ENOENT it is no name of ours, -EHOSTUNREACH nobody has it. */
int crosh_priv_net_resolve(const char *name, Net__Response **response, struct crosh_error *err);

#endif

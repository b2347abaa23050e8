/* SPDX-License-Identifier: MIT */
/*
 * The keeper's side of its front: the process that hears and answers guests. Names are asked
 * for, addresses given and routers advertised there (net/dns.h, net/dhcp.h, net/router.h), by a
 * process without capabilities that can make no descriptor of its own: the keeper makes
 * its sockets and looks for it.
 */
#ifndef NET_FRONT_H
#define NET_FRONT_H

#include "net/keeper.h"

struct front;

/* Starts it, and another one if it dies. NULL with err filled. */
struct front *front_new(struct keeper *keeper, struct crosh_error *err);
void front_free(struct front *front);

/* Serves a VM, whose link is up; or no longer. */
void front_add(struct front *front, struct keeper_vm *vm);
void front_remove(struct front *front, const struct keeper_vm *vm);

#endif

/* SPDX-License-Identifier: MIT */
/* VMs' names for every program of a host whose resolver is systemd-resolved. */
#ifndef NET_RESOLVED_H
#define NET_RESOLVED_H

#include "kvm/event-loop.h"
#include "net/plan.h"

struct resolved;

/* loop stays the caller's. NULL: there is no memory, or crosh was built without libsystemd. */
struct resolved *resolved_new(struct event_loop *loop);
/* Accepts NULL. */
void resolved_free(struct resolved *resolved);

/*
 * Has it ask the place's gateway, over its link, for the names of our domain and of the VM's
 * addresses, and for no others; nothing at all is asked of the guest. It forgets that with the
 * link, however that goes: nothing is to be taken back. Returns at once; what goes wrong is said in
 * the log, but for a host without such a resolver. resolved: may be NULL.
 */
void resolved_add(struct resolved *resolved, const char *link, const struct plan_place *place);

#endif

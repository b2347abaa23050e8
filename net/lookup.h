/* SPDX-License-Identifier: MIT */
/* Asking a guest for the addresses of its containers, without waiting. */
#ifndef NET_LOOKUP_H
#define NET_LOOKUP_H

#include <stddef.h>

#include "kvm/event-loop.h"
#include "net/plan.h"

#define LOOKUP_ADDRESSES_MAX 8u

struct lookup;

/* addresses: hosts' (their bits are the family's all); none: the guest knows no such container. */
typedef void lookup_fn(void *opaque, const struct plan_prefix *addresses, size_t count);

/*
 * Asks the name server of the guest's bridge (server) for a container. fn is called once, from
 * the loop. The lookup, to be cancelled until then; NULL when there are too many at once, or
 * no memory: then fn is not called.
 */
struct lookup *lookup_start(struct event_loop *loop, const char *vm, const char *container,
                            const struct plan_prefix *server, lookup_fn *fn, void *opaque);
/* fn is not called any more. Accepts NULL. */
void lookup_cancel(struct lookup *lookup);

/* The same, waiting for the answer: the count, or negative with err filled, which must
   be there. In a process that may block. */
int lookup_now(const char *vm, const char *container, const struct plan_prefix *server,
               struct plan_prefix addresses[LOOKUP_ADDRESSES_MAX], struct crosh_error *err);

#endif

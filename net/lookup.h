/* SPDX-License-Identifier: MIT */
/* Asking a guest for the addresses of its containers, without waiting. */
#ifndef NET_LOOKUP_H
#define NET_LOOKUP_H

#include <stdbool.h>
#include <stdint.h>

#include "kvm/event-loop.h"
#include "net/container-state.h"
#include "net/plan.h"

#define LOOKUP_ADDRESSES_MAX 8u

struct lookup;

struct lookup_answer {
    enum container_state state;
    uint32_t count; /* 0: there is no way to it, by what the state tells */
    struct plan_prefix
        addresses[LOOKUP_ADDRESSES_MAX]; /* hosts': their bits are the family's all */
};

typedef void lookup_fn(void *opaque, const struct lookup_answer *answer);

/*
 * Asks the guest for a container: its LXD whether it runs, and the name server of its bridge
 * (server) for its addresses. fn is called once, from the loop, with what was heard some
 * seconds ago unless it shall be fresh. The lookup, to be cancelled until then; NULL when there
 * are too many at once, or no memory: then fn is not called.
 */
struct lookup *lookup_start(struct event_loop *loop, const char *vm, const char *container,
                            const struct plan_prefix *server, bool is_fresh, lookup_fn *fn,
                            void *opaque);
/* fn is not called any more. Accepts NULL. */
void lookup_cancel(struct lookup *lookup);

#endif

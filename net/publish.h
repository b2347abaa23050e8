/* SPDX-License-Identifier: MIT */
/* A port of the host's that leads to one of a VM's or of a container's. */
#ifndef NET_PUBLISH_H
#define NET_PUBLISH_H

#include <stdbool.h>

#include <crosh/error.h>

#include "kvm/event-loop.h"
#include "lib/wire/net.pb-c.h"
#include "net/outside.h"
#include "net/plan.h"

#define PUBLISH_MAX 32u /* of one VM */

struct publish;

/*
 * Listens on the host's port and leads who comes there on; several streams at once,
 * and for UDP several peers. All pointers but what must outlive it. NULL with err filled.
 */
struct publish *publish_new(struct event_loop *loop, struct outside *outside, const char *vm,
                            const struct plan_place *place, const Net__Published *what,
                            struct crosh_error *err);
/* Ends it and all that goes through it. Accepts NULL. */
void publish_free(struct publish *publish);

/* Whether both are about the same port of the host's. */
bool publish_matches(const struct publish *publish, const Net__Published *what);

/* As it was asked for; belongs to the publish. */
const Net__Published *publish_what(const struct publish *publish);

#endif

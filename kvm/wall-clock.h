/* SPDX-License-Identifier: MIT */
/* Tells when the host's clock was set, or went on after the host had slept. */
#ifndef KVM_WALL_CLOCK_H
#define KVM_WALL_CLOCK_H

#include "kvm/event-loop.h"

struct wall_clock;

/* Calls fn, on the loop's thread, each time that it happens. NULL with errno set. */
struct wall_clock *wall_clock_new(struct event_loop *loop, event_timer_fn *fn, void *opaque);
/* Accepts NULL. */
void wall_clock_free(struct wall_clock *clock);

#endif

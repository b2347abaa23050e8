/* SPDX-License-Identifier: MIT */
/* Runs functions on the event loop's thread on behalf of other threads, which wait. */
#ifndef KVM_LOOP_CALL_H
#define KVM_LOOP_CALL_H

#include <pthread.h>
#include <stdbool.h>

#include <crosh/error.h>

#include "kvm/event-loop.h"

struct loop_call_request;

struct loop_call {
    pthread_mutex_t lock;
    pthread_cond_t done;
    struct loop_call_request *first;
    bool closed;
    int fd;
    struct event_source *source;
};

int loop_call_init(struct loop_call *call, struct event_loop *loop, struct crosh_error *err);
void loop_call_fini(struct loop_call *call);

/*
 * Runs fn(opaque) on the loop's thread and waits for its end; false, without
 * having run it, once the calls are closed. Not for the loop's own thread. The
 * caller must not hold a lock that the loop's thread takes.
 */
bool loop_call_run(struct loop_call *call, void (*fn)(void *opaque), void *opaque);

/*
 * On the loop's thread: refuses all calls from now on and those still waiting,
 * so that the threads which wait can be joined.
 */
void loop_call_close(struct loop_call *call);

#endif

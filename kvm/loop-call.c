/* SPDX-License-Identifier: MIT */
/* Implements calls into the event loop's thread. */
#include "kvm/loop-call.h"

#include <errno.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* Lives on the caller's stack while it waits. */
struct loop_call_request {
    struct loop_call_request *next;
    void (*fn)(void *opaque);
    void *opaque;
    bool taken, done;
};

static void on_request(void *opaque, uint32_t events)
{
    struct loop_call *call = opaque;
    eventfd_t count;

    (void)events;
    (void)eventfd_read(call->fd, &count);
    pthread_mutex_lock(&call->lock);
    while (call->first != NULL) {
        struct loop_call_request *request = call->first;

        call->first = request->next;
        request->taken = true;
        pthread_mutex_unlock(&call->lock);
        request->fn(request->opaque);
        pthread_mutex_lock(&call->lock);
        request->done = true;
        pthread_cond_broadcast(&call->done);
    }
    pthread_mutex_unlock(&call->lock);
}

int loop_call_init(struct loop_call *call, struct event_loop *loop, struct crosh_error *err)
{
    *call = (struct loop_call){.lock = PTHREAD_MUTEX_INITIALIZER,
                               .done = PTHREAD_COND_INITIALIZER,
                               .fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
    if (call->fd < 0)
        return crosh_error_errno(err, "eventfd");
    call->source = event_add(loop, call->fd, EPOLLIN, on_request, call);
    if (call->source == NULL) {
        int code = crosh_error_errno(err, "epoll");

        (void)close(call->fd);
        call->fd = -1;
        return code;
    }
    return 0;
}

void loop_call_fini(struct loop_call *call)
{
    if (call->source == NULL)
        return;
    event_remove(call->source);
    (void)close(call->fd);
    pthread_cond_destroy(&call->done);
    pthread_mutex_destroy(&call->lock);
    *call = (struct loop_call){.fd = -1};
}

bool loop_call_run(struct loop_call *call, void (*fn)(void *opaque), void *opaque)
{
    struct loop_call_request request = {.fn = fn, .opaque = opaque};
    struct loop_call_request **last;

    pthread_mutex_lock(&call->lock);
    if (!call->closed) {
        for (last = &call->first; *last != NULL; last = &(*last)->next)
            ;
        *last = &request;
        (void)eventfd_write(call->fd, 1);
        while (!request.done && (request.taken || !call->closed))
            pthread_cond_wait(&call->done, &call->lock);
    }
    pthread_mutex_unlock(&call->lock);
    return request.done;
}

void loop_call_close(struct loop_call *call)
{
    pthread_mutex_lock(&call->lock);
    call->closed = true;
    call->first = NULL;
    pthread_cond_broadcast(&call->done);
    pthread_mutex_unlock(&call->lock);
}

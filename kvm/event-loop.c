/* SPDX-License-Identifier: MIT */
/* The launcher's event loop: epoll, timerfd and one eventfd to be woken by. */
#include "kvm/event-loop.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "lib/base/cleanup.h"

#define EVENT_BATCH 64

struct event_source {
    struct event_loop *loop;
    struct event_source *next, *prev;
    event_fn *fn;
    event_timer_fn *timer_fn; /* a timer: fd is ours */
    void *opaque;
    uint32_t events; /* watched now; 0: not in the epoll set */
    int fd;
    bool removed; /* freed once the current batch is done */
};

struct event_loop {
    int epoll_fd;
    int quit_fd;
    atomic_bool quit;
    uint64_t wakeups, events;
    struct event_source *sources; /* live ones */
    struct event_source *garbage; /* removed ones that the current batch may still name */
};

struct event_loop *event_loop_new(struct crosh_error *err)
{
    struct event_loop *loop = calloc(1, sizeof(*loop));
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};

    if (loop == NULL) {
        crosh_error_errno(err, "event loop");
        return NULL;
    }
    loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    loop->quit_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (loop->epoll_fd < 0 || loop->quit_fd < 0 ||
        epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, loop->quit_fd, &event) < 0) {
        crosh_error_errno(err, "event loop");
        event_loop_free(loop);
        return NULL;
    }
    return loop;
}

static void source_unlink(struct event_source *source)
{
    if (source->prev != NULL)
        source->prev->next = source->next;
    else
        source->loop->sources = source->next;
    if (source->next != NULL)
        source->next->prev = source->prev;
}

static void collect_garbage(struct event_loop *loop)
{
    while (loop->garbage != NULL) {
        struct event_source *source = loop->garbage;

        loop->garbage = source->next;
        free(source);
    }
}

void event_loop_free(struct event_loop *loop)
{
    if (loop == NULL)
        return;
    while (loop->sources != NULL)
        event_remove(loop->sources);
    collect_garbage(loop);
    if (loop->epoll_fd >= 0)
        close(loop->epoll_fd);
    if (loop->quit_fd >= 0)
        close(loop->quit_fd);
    free(loop);
}

/* Brings the epoll set in line with events. An fd that is watched for nothing is taken out:
   epoll would otherwise report EPOLLHUP and EPOLLERR for it without end. */
static int source_watch(struct event_source *source, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = source};
    int op;

    if (events == source->events)
        return 0;
    if (events == 0)
        op = EPOLL_CTL_DEL;
    else
        op = source->events == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
    if (epoll_ctl(source->loop->epoll_fd, op, source->fd, &event) < 0)
        return -errno;
    source->events = events;
    return 0;
}

static struct event_source *source_new(struct event_loop *loop, int fd, uint32_t events)
{
    struct event_source *source = calloc(1, sizeof(*source));

    if (source == NULL)
        return NULL;
    source->loop = loop;
    source->fd = fd;
    if (source_watch(source, events) < 0) {
        free(source);
        return NULL;
    }
    source->next = loop->sources;
    if (source->next != NULL)
        source->next->prev = source;
    loop->sources = source;
    return source;
}

struct event_source *event_add(struct event_loop *loop, int fd, uint32_t events, event_fn *fn,
                               void *opaque)
{
    struct event_source *source = source_new(loop, fd, events);

    if (source != NULL) {
        source->fn = fn;
        source->opaque = opaque;
    }
    return source;
}

void event_modify(struct event_source *source, uint32_t events)
{
    (void)source_watch(source, events);
}

void event_remove(struct event_source *source)
{
    if (source == NULL || source->removed)
        return;
    (void)source_watch(source, 0);
    source_unlink(source);
    if (source->timer_fn != NULL)
        close(source->fd);
    source->removed = true;
    source->next = source->loop->garbage;
    source->loop->garbage = source;
}

struct event_source *event_timer_add(struct event_loop *loop, event_timer_fn *fn, void *opaque)
{
    cleanup_close int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    struct event_source *source;

    if (fd < 0)
        return NULL;
    source = source_new(loop, fd, EPOLLIN);
    if (source == NULL)
        return NULL;
    (void)move_fd(fd);
    source->timer_fn = fn;
    source->opaque = opaque;
    return source;
}

void event_timer_set(struct event_source *timer, int64_t delay_ms)
{
    struct itimerspec when = {0};

    if (delay_ms >= 0) {
        when.it_value.tv_sec = delay_ms / 1000;
        /* All zeroes would disarm: "now" is one nanosecond away. */
        when.it_value.tv_nsec = delay_ms % 1000 * 1000000 + (delay_ms == 0);
    }
    (void)timerfd_settime(timer->fd, 0, &when, NULL);
}

static void source_dispatch(struct event_source *source, uint32_t events)
{
    if (source->timer_fn != NULL) {
        uint64_t expirations;

        if (read(source->fd, &expirations, sizeof(expirations)) > 0)
            source->timer_fn(source->opaque);
        return;
    }
    source->fn(source->opaque, events);
}

int event_loop_run(struct event_loop *loop, struct crosh_error *err)
{
    uint64_t wakeups;

    while (!atomic_load(&loop->quit)) {
        struct epoll_event batch[EVENT_BATCH];
        int count = epoll_wait(loop->epoll_fd, batch, EVENT_BATCH, -1);

        if (count < 0) {
            if (errno == EINTR)
                continue;
            return crosh_error_errno(err, "waiting for events");
        }
        loop->wakeups++;
        loop->events += (uint64_t)count;
        for (int i = 0; i < count; i++) {
            struct event_source *source = batch[i].data.ptr;

            /* A callback earlier in this batch may have removed or muted it. */
            if (source == NULL || source->removed || source->events == 0)
                continue;
            source_dispatch(source, batch[i].events);
        }
        collect_garbage(loop);
    }
    /* The request is served: the loop may be run again. */
    (void)!read(loop->quit_fd, &wakeups, sizeof(wakeups));
    atomic_store(&loop->quit, false);
    return 0;
}

void event_loop_figures(const struct event_loop *loop, uint64_t *wakeups, uint64_t *events)
{
    *wakeups = loop->wakeups;
    *events = loop->events;
}

void event_loop_quit(struct event_loop *loop)
{
    uint64_t one = 1;
    int saved = errno;

    atomic_store(&loop->quit, true);
    (void)!write(loop->quit_fd, &one, sizeof(one));
    errno = saved;
}

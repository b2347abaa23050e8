/* SPDX-License-Identifier: MIT */
/* The launcher's one event loop: descriptors, timers and a way to wake it, on the main thread. */
#ifndef KVM_EVENT_LOOP_H
#define KVM_EVENT_LOOP_H

#include <stdint.h>

#include <crosh/error.h>

struct event_loop;
struct event_source;

/* events: EPOLLIN, EPOLLOUT, ... as epoll(7) reports them. */
typedef void event_fn(void *opaque, uint32_t events);
typedef void event_timer_fn(void *opaque);

struct event_loop *event_loop_new(struct crosh_error *err);
/* Frees the loop and every source left in it; descriptors stay their owners'. */
void event_loop_free(struct event_loop *loop);

/*
 * Watches fd (not owned) level-triggered. NULL when memory or epoll fails (errno).
 * All source functions belong to the loop's thread; a callback may free any
 * source, its own too.
 */
struct event_source *event_add(struct event_loop *loop, int fd, uint32_t events, event_fn *fn,
                               void *opaque);
/* Changes the events watched for; 0 keeps the source but watches nothing (not even EPOLLHUP). */
void event_modify(struct event_source *source, uint32_t events);
/* Accepts NULL. No callback follows, not even one already reported by the kernel. */
void event_remove(struct event_source *source);

/* One-shot timer, in milliseconds from now; re-arm with event_timer_set(); -1 disarms. */
struct event_source *event_timer_add(struct event_loop *loop, event_timer_fn *fn, void *opaque);
void event_timer_set(struct event_source *timer, int64_t delay_ms);

/* Runs until event_loop_quit(), and may be run again then. 0, or negative with err filled. */
int event_loop_run(struct event_loop *loop, struct crosh_error *err);
/* How often the loop woke up, and how many events it served; on its thread. */
void event_loop_figures(const struct event_loop *loop, uint64_t *wakeups, uint64_t *events);
/* Makes event_loop_run() return soon. Callable from any thread and from signal handlers. */
void event_loop_quit(struct event_loop *loop);

#endif

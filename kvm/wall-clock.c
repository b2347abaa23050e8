/* SPDX-License-Identifier: MIT */
/* Implements it by a timer that never expires, but is cancelled when the clock is set. */
#include "kvm/wall-clock.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

/* Some centuries from now. */
#define NEVER_S INT64_C(10000000000)

struct wall_clock {
    event_timer_fn *fn;
    void *opaque;
    int fd;
    struct event_source *source;
};

static int arm(int fd)
{
    const struct itimerspec never = {.it_value.tv_sec = NEVER_S};

    return timerfd_settime(fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &never, NULL);
}

static void on_event(void *opaque, uint32_t events)
{
    struct wall_clock *clock = opaque;
    uint64_t count;

    (void)events;
    if (read(clock->fd, &count, sizeof(count)) >= 0 || errno != ECANCELED)
        return;
    (void)arm(clock->fd);
    clock->fn(clock->opaque);
}

struct wall_clock *wall_clock_new(struct event_loop *loop, event_timer_fn *fn, void *opaque)
{
    struct wall_clock *clock = calloc(1, sizeof(*clock));

    if (clock == NULL)
        return NULL;
    *clock = (struct wall_clock){.fn = fn, .opaque = opaque};
    clock->fd = timerfd_create(CLOCK_REALTIME, TFD_CLOEXEC | TFD_NONBLOCK);
    if (clock->fd >= 0 && arm(clock->fd) == 0)
        clock->source = event_add(loop, clock->fd, EPOLLIN, on_event, clock);
    if (clock->source == NULL) {
        wall_clock_free(clock);
        return NULL;
    }
    return clock;
}

void wall_clock_free(struct wall_clock *clock)
{
    if (clock == NULL)
        return;
    event_remove(clock->source);
    if (clock->fd >= 0)
        (void)close(clock->fd);
    free(clock);
}

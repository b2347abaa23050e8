/* SPDX-License-Identifier: MIT */
/* Answers that need figures which only the guest has: waits for them, but not for ever. */
#include "kvm/launcher-internal.h"

#include <errno.h>
#include <stdlib.h>

/* A guest answers within milliseconds, or it is busy, paused or has no driver. */
#define PATIENCE_MS 500

struct launcher_waiting {
    struct launcher_waiting *next;
    struct control_call *call;
    launcher_answer_fn *fn;
};

/* Takes the list: an answer may lead to a new call. */
static void answer_all(struct launcher *l)
{
    struct launcher_waiting *waiting = l->waiting;

    l->waiting = NULL;
    event_timer_set(l->refresh_timer, -1);
    while (waiting != NULL) {
        struct launcher_waiting *next = waiting->next;

        waiting->fn(l, waiting->call);
        free(waiting);
        waiting = next;
    }
}

static void on_patience_over(void *opaque)
{
    answer_all(opaque);
}

int launcher_figures_init(struct launcher *l, struct crosh_error *err)
{
    process_times_open(&l->times, "/proc/self");
    l->refresh_timer = event_timer_add(l->loop, on_patience_over, l);
    return l->refresh_timer != NULL ? 0 : crosh_error_errno(err, "timers");
}

void launcher_figures_fini(struct launcher *l)
{
    process_times_close(&l->times);
    event_remove(l->refresh_timer);
}

void launcher_with_figures(struct launcher *l, struct control_call *call, launcher_answer_fn *fn)
{
    struct launcher_waiting *waiting = NULL;

    if (l->backend->refresh(l->machine))
        waiting = malloc(sizeof(*waiting));
    if (waiting == NULL) {
        fn(l, call);
        return;
    }
    if (l->waiting == NULL)
        event_timer_set(l->refresh_timer, PATIENCE_MS);
    *waiting = (struct launcher_waiting){.next = l->waiting, .call = call, .fn = fn};
    l->waiting = waiting;
}

void launcher_on_refreshed(void *opaque)
{
    answer_all(opaque);
}

void launcher_on_balloon_changed(void *opaque)
{
    launcher_send_balloon(opaque);
}

static void answer_gone(struct launcher *l, struct control_call *call)
{
    struct crosh_error err = {0};

    (void)l;
    (void)crosh_error_set(&err, -ESHUTDOWN, "the guest ended meanwhile");
    control_answer_code(call, err.code, &err);
}

void launcher_figures_cancel(struct launcher *l)
{
    if (l->waiting == NULL)
        return;
    for (struct launcher_waiting *waiting = l->waiting; waiting != NULL; waiting = waiting->next)
        waiting->fn = answer_gone;
    answer_all(l);
}

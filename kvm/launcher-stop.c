/* SPDX-License-Identifier: MIT */
/* Stopping a VM: asks the agent, presses the power button, ends it. */
#include "kvm/launcher-internal.h"

#include "lib/base/deadline.h"

/* How long each step of a stop may take before the next, harder one. */
#define STOP_TIMEOUT_MS 30000
/* How often the button is pressed meanwhile: a guest that still boots hears no press. */
#define BUTTON_AGAIN_MS 1000

void launcher_stop_hello(struct launcher *l)
{
    /* It was asked to stop before its agent was there to be asked. */
    if (l->stop_step != STOP_NONE)
        (void)guest_link_shutdown(l->link);
}

/* Presses the button, and again until the guest has had its time. */
static void press_button(struct launcher *l)
{
    int64_t left = l->button_deadline - deadline_now();

    l->backend->power_button(l->machine);
    event_timer_set(l->stop_timer, left <= 0 ? 0 : left < BUTTON_AGAIN_MS ? left : BUTTON_AGAIN_MS);
}

static void stop_next_step(struct launcher *l)
{
    uint32_t timeout = l->stop_timeout_ms;

    if (l->machine == NULL)
        return; /* a reboot has just failed, and the loop is about to return */
    if (timeout == 0)
        timeout = STOP_TIMEOUT_MS;
    if (l->stop_step == STOP_NONE && guest_link_shutdown(l->link)) {
        l->stop_step = STOP_ASKED;
        event_timer_set(l->stop_timer, timeout);
    } else if (l->stop_step != STOP_BUTTON) {
        l->stop_step = STOP_BUTTON;
        l->button_deadline = deadline_in(timeout);
        press_button(l);
    } else if (deadline_now() < l->button_deadline) {
        press_button(l);
    } else {
        launcher_end(l, CONTROL__END_REASON__END_KILLED,
                     "the guest neither answered the request nor the power button");
    }
}

void launcher_on_stop_timer(void *opaque)
{
    stop_next_step(opaque);
}

void launcher_stop(struct launcher *l, bool force, uint32_t timeout_ms, const char *who)
{
    if (force) {
        launcher_end(l, CONTROL__END_REASON__END_KILLED, who);
        return;
    }
    if (timeout_ms != 0)
        l->stop_timeout_ms = timeout_ms;
    if (l->stop_step != STOP_NONE)
        return;
    launcher_resume(l); /* one that stands still could not do what it is asked for */
    launcher_send_state(l, CONTROL__STATE__STOPPING);
    stop_next_step(l);
}

/* SPDX-License-Identifier: MIT */
/* What the launcher tells its subscribers: stages, states, notices and its end. */
#include "kvm/launcher-internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/clock.h"

uint64_t launcher_uptime_us(const struct launcher *l)
{
    return (uint64_t)clock_us(CLOCK_MONOTONIC) - l->start_us;
}

void launcher_send_state(struct launcher *l, Control__State state)
{
    Control__Event event = CONTROL__EVENT__INIT;

    l->state = state;
    event.what_case = CONTROL__EVENT__WHAT_STATE;
    event.state = state;
    control_server_event(l->control, &event);
}

void launcher_reach_stage(struct launcher *l, Control__Stage stage)
{
    Control__Event event = CONTROL__EVENT__INIT;
    Control__StageTime *time;

    if (l->stage_count == LAUNCHER_STAGES)
        return;
    time = &l->stage[l->stage_count];
    *time = (Control__StageTime)CONTROL__STAGE_TIME__INIT;
    time->stage = stage;
    time->at_us = launcher_uptime_us(l);
    l->stage_list[l->stage_count++] = time;
    event.what_case = CONTROL__EVENT__WHAT_STAGE;
    event.stage = time;
    control_server_event(l->control, &event);
}

void launcher_send_notice(struct launcher *l)
{
    Control__Event event = CONTROL__EVENT__INIT;

    event.what_case = CONTROL__EVENT__WHAT_NOTICE;
    event.notice = l->notice;
    control_server_event(l->control, &event);
}

void launcher_add_notice(struct launcher *l, const char *fmt, ...)
{
    Control__Event event = CONTROL__EVENT__INIT;
    size_t used = strlen(l->notice);
    char text[256];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    (void)fprintf(stderr, "crosh-vm: %s\n", text);
    (void)snprintf(l->notice + used, sizeof(l->notice) - used, "%s%s", used > 0 ? "; " : "", text);
    event.what_case = CONTROL__EVENT__WHAT_NOTICE;
    event.notice = text;
    control_server_event(l->control, &event);
}

void launcher_copy_guest_text(char *to, size_t size, const char *from)
{
    size_t i;

    for (i = 0; i + 1 < size && from[i] != '\0'; i++)
        to[i] = from[i] >= ' ' && from[i] <= '~' ? from[i] : '?';
    to[i] = '\0';
}

void launcher_send_balloon(struct launcher *l)
{
    Control__Event event = CONTROL__EVENT__INIT;
    Control__Balloon *balloon = malloc(sizeof(*balloon));

    if (balloon == NULL)
        return;
    control__balloon__init(balloon);
    event.what_case = CONTROL__EVENT__WHAT_BALLOON;
    event.balloon = balloon;
    if (l->backend->balloon(l->machine, balloon) == 0)
        control_server_event(l->control, &event);
    control__balloon__free_unpacked(balloon, NULL);
}

void launcher_send_ended(struct launcher *l)
{
    Control__Event event = CONTROL__EVENT__INIT;
    Control__Ended ended = CONTROL__ENDED__INIT;

    ended.reason = l->end_reason;
    ended.detail = l->end_error.message;
    ended.code = l->end_error.code;
    ended.hint = l->end_error.hint;
    event.what_case = CONTROL__EVENT__WHAT_ENDED;
    event.ended = &ended;
    control_server_event(l->control, &event);
}

void launcher_end(struct launcher *l, Control__EndReason reason, const char *detail)
{
    if (l->end_reason != CONTROL__END_REASON__END_NONE)
        return;
    l->end_reason = reason;
    crosh_error_set(&l->end_error, 0, "%s", detail);
    event_loop_quit(l->loop);
}

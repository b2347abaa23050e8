/* SPDX-License-Identifier: MIT */
/* Requests for figures of a running VM, and for the size of its balloon. */
#include "kvm/control/requests.h"

#include <errno.h>
#include <stdlib.h>

#include "kvm/counters.h"
#include "kvm/launcher-internal.h"

static void answer_balloon(struct launcher *l, struct control_call *call)
{
    Control__Response response = CONTROL__RESPONSE__INIT;
    Control__Balloon *balloon = malloc(sizeof(*balloon));
    struct crosh_error err = {0};

    if (balloon != NULL)
        control__balloon__init(balloon);
    if (balloon == NULL || l->backend->balloon(l->machine, balloon) < 0) {
        (void)crosh_error_set(&err, -ENOMEM, "out of memory");
        control_answer_code(call, err.code, &err);
    } else {
        response.balloon = balloon;
        control_answer(call, &response);
    }
    if (balloon != NULL)
        control__balloon__free_unpacked(balloon, NULL);
}

int request_balloon(struct control_call *call, void *opaque, struct crosh_error *err)
{
    const Control__BalloonRequest *request = control_call_request(call)->balloon;
    struct launcher *l = opaque;

    if (l->machine == NULL)
        return crosh_error_set(err, -EAGAIN, "the VM is between two boots");
    if (request->set && request->target_bytes > l->machine_config.memory_bytes)
        return crosh_error_set(err, -EINVAL, "the VM has only %llu MiB of memory to give",
                               (unsigned long long)(l->machine_config.memory_bytes >> 20));
    if (request->set)
        l->backend->set_balloon(l->machine, request->target_bytes);
    launcher_with_figures(l, call, answer_balloon);
    return CONTROL_ANSWERED;
}

static int fill_process(struct launcher *l, Control__StatsReply *stats)
{
    struct process_figures figures;

    /* Under emulation it is QEMU's, and has been filled in. */
    if (stats->process != NULL || process_times_read(&l->times, &figures) < 0)
        return 0;
    stats->process = malloc(sizeof(*stats->process));
    if (stats->process == NULL)
        return -ENOMEM;
    control__process_stats__init(stats->process);
    stats->process->user_us = figures.user_us;
    stats->process->system_us = figures.system_us;
    stats->process->guest_us = figures.guest_us;
    stats->process->resident_bytes = figures.resident_bytes;
    return 0;
}

static int fill_stats(struct launcher *l, Control__StatsReply *stats)
{
    uint64_t wakeups, events;
    int code = l->backend->stats(l->machine, stats);

    stats->uptime_us = launcher_uptime_us(l);
    stats->memory_bytes = l->machine_config.memory_bytes;
    event_loop_figures(l->loop, &wakeups, &events);
    if (code == 0)
        code = counters_add(&stats->loop, &stats->n_loop, "wakeups", wakeups);
    if (code == 0)
        code = counters_add(&stats->loop, &stats->n_loop, "events", events);
    if (code == 0)
        code = fill_process(l, stats);
    if (code < 0)
        return code;
    stats->balloon = malloc(sizeof(*stats->balloon));
    if (stats->balloon == NULL)
        return -ENOMEM;
    control__balloon__init(stats->balloon);
    return l->backend->balloon(l->machine, stats->balloon);
}

static void answer_stats(struct launcher *l, struct control_call *call)
{
    Control__Response response = CONTROL__RESPONSE__INIT;
    Control__StatsReply *stats = malloc(sizeof(*stats));
    struct crosh_error err = {0};

    if (stats != NULL)
        control__stats_reply__init(stats);
    if (stats == NULL || fill_stats(l, stats) < 0) {
        (void)crosh_error_set(&err, -ENOMEM, "out of memory");
        control_answer_code(call, err.code, &err);
    } else {
        response.stats = stats;
        control_answer(call, &response);
    }
    if (stats != NULL)
        control__stats_reply__free_unpacked(stats, NULL);
}

int request_stats(struct control_call *call, void *opaque, struct crosh_error *err)
{
    struct launcher *l = opaque;

    if (l->machine == NULL)
        return crosh_error_set(err, -EAGAIN, "the VM is between two boots");
    launcher_with_figures(l, call, answer_stats);
    return CONTROL_ANSWERED;
}

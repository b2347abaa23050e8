/* SPDX-License-Identifier: MIT */
/* Implements figures as JSON. */
#include "modules/vmc/figures.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

const Control__Counter *figures_find(Control__Counter *const *list, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(list[i]->name, name) == 0)
            return list[i];
    return NULL;
}

json_t *figures_counters(Control__Counter *const *list, size_t count)
{
    json_t *object = json_object();

    for (size_t i = 0; i < count; i++)
        if (json_object_set_new(object, list[i]->name, json_integer((json_int_t)list[i]->value)) <
            0) {
            json_decref(object);
            return NULL;
        }
    return object;
}

json_t *figures_balloon(const Control__Balloon *balloon)
{
    return json_pack("{s:b, s:I, s:I, s:b, s:I, s:o}", "has_driver", balloon->has_driver,
                     "target_bytes", (json_int_t)balloon->target_bytes, "actual_bytes",
                     (json_int_t)balloon->actual_bytes, "reports_free", balloon->reports_free,
                     "reported_bytes", (json_int_t)balloon->reported_bytes, "guest",
                     figures_counters(balloon->guest, balloon->n_guest));
}

static json_t *figures_process(const Control__ProcessStats *process)
{
    if (process == NULL)
        return json_null();
    return json_pack("{s:I, s:I, s:I, s:I}", "user_us", (json_int_t)process->user_us, "system_us",
                     (json_int_t)process->system_us, "guest_us", (json_int_t)process->guest_us,
                     "resident_bytes", (json_int_t)process->resident_bytes);
}

static json_t *figures_vcpu(const Control__VcpuStats *vcpu)
{
    return json_pack("{s:I, s:I, s:I, s:o, s:o}", "index", (json_int_t)vcpu->index, "user_us",
                     (json_int_t)vcpu->user_us, "system_us", (json_int_t)vcpu->system_us, "exits",
                     figures_counters(vcpu->exits, vcpu->n_exits), "kvm",
                     figures_counters(vcpu->kvm, vcpu->n_kvm));
}

static json_t *figures_device(const Control__DeviceStats *device)
{
    return json_pack("{s:s, s:I, s:I, s:I, s:I, s:I}", "name", device->name, "requests",
                     (json_int_t)device->requests, "read_bytes", (json_int_t)device->read_bytes,
                     "written_bytes", (json_int_t)device->written_bytes, "interrupts",
                     (json_int_t)device->interrupts, "errors", (json_int_t)device->errors);
}

json_t *figures_stats(const Control__StatsReply *stats)
{
    json_t *vcpus = json_array(), *devices = json_array();
    bool failed = false;

    for (size_t i = 0; i < stats->n_vcpus; i++)
        failed |= json_array_append_new(vcpus, figures_vcpu(stats->vcpus[i])) < 0;
    for (size_t i = 0; i < stats->n_devices; i++)
        failed |= json_array_append_new(devices, figures_device(stats->devices[i])) < 0;
    if (failed) {
        json_decref(vcpus);
        json_decref(devices);
        return NULL;
    }
    return json_pack("{s:I, s:o, s:o, s:o, s:I, s:o, s:o, s:o}", "uptime_us",
                     (json_int_t)stats->uptime_us, "process", figures_process(stats->process),
                     "vcpus", vcpus, "devices", devices, "memory_bytes",
                     (json_int_t)stats->memory_bytes, "balloon",
                     stats->balloon != NULL ? figures_balloon(stats->balloon) : json_null(), "loop",
                     figures_counters(stats->loop, stats->n_loop), "kvm",
                     figures_counters(stats->kvm, stats->n_kvm));
}

static const char *name_of(const char *const *names, size_t count, unsigned int value)
{
    return value < count && names[value] != NULL ? names[value] : "?";
}

#define NAME_OF(names, value)                                                                      \
    name_of(names, sizeof(names) / sizeof((names)[0]), (unsigned int)(value))

const char *figures_state_name(Control__State state)
{
    static const char *const names[] = {
        [CONTROL__STATE__STARTING] = "starting", [CONTROL__STATE__RUNNING] = "running",
        [CONTROL__STATE__STOPPING] = "stopping", [CONTROL__STATE__PAUSED] = "paused",
        [CONTROL__STATE__ENDED] = "ended",
    };

    return NAME_OF(names, state);
}

const char *figures_stage_name(Control__Stage stage)
{
    static const char *const names[] = {
        [CONTROL__STAGE__STAGE_LAUNCHER] = "launcher",
        [CONTROL__STAGE__STAGE_KERNEL] = "kernel",
        [CONTROL__STAGE__STAGE_AGENT] = "agent",
    };

    return NAME_OF(names, stage);
}

const char *figures_end_name(Control__EndReason reason)
{
    static const char *const names[] = {
        [CONTROL__END_REASON__END_POWEROFF] = "poweroff",
        [CONTROL__END_REASON__END_RESET] = "reset",
        [CONTROL__END_REASON__END_CRASH] = "crash",
        [CONTROL__END_REASON__END_KILLED] = "killed",
        [CONTROL__END_REASON__END_FAILED] = "failed",
        [CONTROL__END_REASON__END_SUSPENDED] = "suspended",
    };

    return NAME_OF(names, reason);
}

const char *figures_disk_name(Control__DiskEvent__Kind kind)
{
    static const char *const names[] = {
        [CONTROL__DISK_EVENT__KIND__ATTACHED] = "attached",
        [CONTROL__DISK_EVENT__KIND__DETACHED] = "detached",
        [CONTROL__DISK_EVENT__KIND__FULL] = "full",
        [CONTROL__DISK_EVENT__KIND__HAS_ROOM] = "has-room",
    };

    return NAME_OF(names, kind);
}

json_t *figures_event(const Control__Event *event)
{
    switch (event->what_case) {
    case CONTROL__EVENT__WHAT_STATE:
        return json_pack("{s:s, s:s}", "event", "state", "state", figures_state_name(event->state));
    case CONTROL__EVENT__WHAT_STAGE:
        return json_pack("{s:s, s:s, s:I}", "event", "stage", "stage",
                         figures_stage_name(event->stage->stage), "at_us",
                         (json_int_t)event->stage->at_us);
    case CONTROL__EVENT__WHAT_NOTICE:
        return json_pack("{s:s, s:s}", "event", "notice", "notice", event->notice);
    case CONTROL__EVENT__WHAT_BALLOON:
        return json_pack("{s:s, s:o}", "event", "balloon", "balloon",
                         figures_balloon(event->balloon));
    case CONTROL__EVENT__WHAT_DISK:
        return json_pack("{s:s, s:s, s:s}", "event", "disk", "name", event->disk->name, "kind",
                         figures_disk_name(event->disk->kind));
    case CONTROL__EVENT__WHAT_ENDED:
        return json_pack("{s:s, s:s, s:s, s:i}", "event", "ended", "reason",
                         figures_end_name(event->ended->reason), "detail", event->ended->detail,
                         "code", event->ended->code);
    default:
        return json_pack("{s:s}", "event", "unknown");
    }
}

int figures_print_json(FILE *out, json_t *json, struct crosh_error *err)
{
    int rc = json != NULL ? json_dumpf(json, out, JSON_INDENT(2)) : -1;

    json_decref(json);
    (void)fputc('\n', out);
    return rc < 0 ? crosh_error_set(err, -ENOMEM, "out of memory") : 0;
}

/* SPDX-License-Identifier: MIT */
/* Requests about the disks of a VM that runs. */
#include "kvm/control/requests.h"

#include <errno.h>
#include <stdio.h>

#include "kvm/launcher-disks.h"
#include "kvm/launcher-internal.h"

static struct rate rate_of(const Control__Rate *rate)
{
    return rate != NULL ? (struct rate){.per_second = rate->per_second, .burst = rate->burst}
                        : (struct rate){0};
}

static struct rate_limits limits_of(const Control__DiskLimits *limits)
{
    if (limits == NULL)
        return (struct rate_limits){0};
    return (struct rate_limits){.bytes = rate_of(limits->bytes),
                                .operations = rate_of(limits->operations)};
}

int request_disk_attach(struct control_call *call, void *opaque, struct crosh_error *err)
{
    const Control__DiskAttachRequest *attach = control_call_request(call)->disk_attach;
    struct machine_disk disk = {
        .path = attach->path, .read_only = attach->read_only, .limits = limits_of(attach->limits)};

    if (snprintf(disk.name, sizeof(disk.name), "%s", attach->name) >= (int)sizeof(disk.name))
        return crosh_error_set(err, -EINVAL, "a disk's name has at most %zu characters",
                               sizeof(disk.name) - 1);
    disk.fd = control_call_take_fd(call);
    if (disk.fd < 0)
        return crosh_error_set(err, -EBADF, "the disk's descriptor did not come with the request");
    launcher_disk_attach(opaque, call, &disk);
    return CONTROL_ANSWERED;
}

int request_disk_detach(struct control_call *call, void *opaque, struct crosh_error *err)
{
    const Control__DiskDetachRequest *detach = control_call_request(call)->disk_detach;

    (void)err;
    launcher_disk_detach(opaque, call, detach->name, detach->timeout_ms);
    return CONTROL_ANSWERED;
}

int request_disk_resize(struct control_call *call, void *opaque, struct crosh_error *err)
{
    const Control__DiskResizeRequest *resize = control_call_request(call)->disk_resize;

    (void)err;
    launcher_disk_resize(opaque, call, resize->name, resize->bytes);
    return CONTROL_ANSWERED;
}

int request_disk_limit(struct control_call *call, void *opaque, struct crosh_error *err)
{
    const Control__DiskLimitRequest *limit = control_call_request(call)->disk_limit;
    struct rate_limits limits = limits_of(limit->limits);

    (void)err;
    launcher_disk_limit(opaque, call, limit->name, &limits);
    return CONTROL_ANSWERED;
}

/* One disk as the answer shows it, with what it points to. */
struct shown {
    Control__Disk disk;
    Control__DiskLimits limits;
    Control__Rate bytes, operations;
    Control__DiskCounters counters;
};

static void show(const struct launcher *l, const struct machine_disk *disk, struct shown *shown)
{
    struct machine_disk_info info = {0};

    *shown = (struct shown){CONTROL__DISK__INIT, CONTROL__DISK_LIMITS__INIT, CONTROL__RATE__INIT,
                            CONTROL__RATE__INIT, CONTROL__DISK_COUNTERS__INIT};
    shown->disk.name = (char *)(uintptr_t)disk->name;
    shown->disk.path = (char *)(uintptr_t)disk->path;
    shown->disk.read_only = disk->read_only;
    if (rate_limits_any(&disk->limits)) {
        shown->bytes.per_second = disk->limits.bytes.per_second;
        shown->bytes.burst = disk->limits.bytes.burst;
        shown->operations.per_second = disk->limits.operations.per_second;
        shown->operations.burst = disk->limits.operations.burst;
        shown->limits.bytes = &shown->bytes;
        shown->limits.operations = &shown->operations;
        shown->disk.limits = &shown->limits;
    }
    if (l->machine == NULL || !l->backend->disk_info(l->machine, disk->name, &info))
        return;
    shown->disk.bytes = info.bytes;
    shown->disk.detachable = info.is_detachable;
    shown->disk.full = info.is_full;
    if (!info.has_counters)
        return;
    shown->counters.reads = info.reads;
    shown->counters.writes = info.writes;
    shown->counters.flushes = info.flushes;
    shown->counters.discards = info.discards;
    shown->counters.read_bytes = info.read_bytes;
    shown->counters.written_bytes = info.written_bytes;
    shown->counters.errors = info.errors;
    shown->counters.throttled_us = info.throttled_ns / 1000;
    shown->disk.counters = &shown->counters;
}

int request_disk_list(struct control_call *call, void *opaque, struct crosh_error *err)
{
    struct launcher *l = opaque;
    Control__Response response = CONTROL__RESPONSE__INIT;
    struct shown shown[MACHINE_MAX_DISKS];
    Control__Disk *list[MACHINE_MAX_DISKS];

    (void)err;
    for (unsigned int i = 0; i < l->machine_config.disk_count; i++) {
        show(l, &l->machine_config.disk[i], &shown[i]);
        list[i] = &shown[i].disk;
    }
    response.n_disks = l->machine_config.disk_count;
    response.disks = list;
    control_answer(call, &response);
    return CONTROL_ANSWERED;
}

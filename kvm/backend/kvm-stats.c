/* SPDX-License-Identifier: MIT */
/* What a running machine tells of itself: its balloon, and figures of its parts. */
#include <errno.h>
#include <linux/virtio_balloon.h>
#include <stdio.h>

#include "kvm/backend/kvm-machine.h"
#include "kvm/counters.h"
#include "kvm/virtio/balloon.h"

static void on_stats(void *opaque)
{
    struct machine *machine = opaque;

    if (machine->host.refreshed != NULL)
        machine->host.refreshed(machine->host.opaque);
}

static void on_changed(void *opaque)
{
    struct machine *machine = opaque;

    if (machine->host.balloon_changed != NULL)
        machine->host.balloon_changed(machine->host.opaque);
}

const struct virtio_balloon_ops kvm_balloon_ops = {.stats = on_stats, .changed = on_changed};

void kvm_set_balloon(struct machine *machine, uint64_t bytes)
{
    virtio_balloon_set_target(machine->balloon, bytes);
}

bool kvm_refresh(struct machine *machine)
{
    /* Each notes its times on the way. One that is parked has done so already. */
    for (unsigned int i = 0; i < machine->vcpu_count && machine->pause.reasons == 0; i++)
        if (!machine->stopped)
            kvm_vcpu_kick(&machine->vcpu[i]);
    return virtio_balloon_ask_stats(machine->balloon);
}

/* The names of what a guest says of its memory (virtio 1.2 section 5.5.6.4), ours for the control
   protocol. */
static const char *const stat_names[VIRTIO_BALLOON_STATS] = {
    [VIRTIO_BALLOON_S_SWAP_IN] = "swapped_in_bytes",
    [VIRTIO_BALLOON_S_SWAP_OUT] = "swapped_out_bytes",
    [VIRTIO_BALLOON_S_MAJFLT] = "major_faults",
    [VIRTIO_BALLOON_S_MINFLT] = "minor_faults",
    [VIRTIO_BALLOON_S_MEMFREE] = "free_bytes",
    [VIRTIO_BALLOON_S_MEMTOT] = "total_bytes",
    [VIRTIO_BALLOON_S_AVAIL] = "available_bytes",
    [VIRTIO_BALLOON_S_CACHES] = "cache_bytes",
    [VIRTIO_BALLOON_S_HTLB_PGALLOC] = "huge_pages_allocated",
    [VIRTIO_BALLOON_S_HTLB_PGFAIL] = "huge_page_failures",
};

int kvm_balloon(struct machine *machine, Control__Balloon *balloon)
{
    struct virtio_balloon_info info;
    int code = 0;

    virtio_balloon_get_info(machine->balloon, &info);
    balloon->has_driver = info.has_driver;
    balloon->target_bytes = info.target_bytes;
    balloon->actual_bytes = info.actual_bytes;
    balloon->reports_free = info.can_report;
    balloon->reported_bytes = info.reported_bytes;
    for (unsigned int i = 0; i < VIRTIO_BALLOON_STATS && code == 0; i++)
        if (stat_names[i] != NULL && (info.stats_known >> i & 1) != 0)
            code = counters_add(&balloon->guest, &balloon->n_guest, stat_names[i], info.stat[i]);
    return code;
}

static int add_vcpu(const struct kvm_vcpu *vcpu, Control__StatsReply *stats)
{
    static const char *const names[KVM_EXIT_KINDS] = {[KVM_EXIT_KIND_PORT] = "port",
                                                      [KVM_EXIT_KIND_MMIO] = "mmio",
                                                      [KVM_EXIT_KIND_KICK] = "kick",
                                                      [KVM_EXIT_KIND_OTHER] = "other"};
    Control__VcpuStats *one = COUNTERS_APPEND(stats->vcpus, stats->n_vcpus, Control__VcpuStats,
                                              control__vcpu_stats__init);
    int code = one != NULL ? 0 : -ENOMEM;

    if (one == NULL)
        return code;
    one->index = vcpu->index;
    one->user_us = __atomic_load_n(&vcpu->figures.user_us, __ATOMIC_RELAXED);
    one->system_us = __atomic_load_n(&vcpu->figures.system_us, __ATOMIC_RELAXED);
    for (unsigned int i = 0; i < KVM_EXIT_KINDS && code == 0; i++)
        code = counters_add(&one->exits, &one->n_exits, names[i],
                            __atomic_load_n(&vcpu->figures.exits[i], __ATOMIC_RELAXED));
    return code == 0 ? kvm_counters_add(vcpu->counters_fd, &one->kvm, &one->n_kvm) : code;
}

static int add_device(struct machine *machine, unsigned int index, Control__StatsReply *stats)
{
    const struct virtio_device *dev = machine->device[index];
    Control__DeviceStats *one = COUNTERS_APPEND(stats->devices, stats->n_devices,
                                                Control__DeviceStats, control__device_stats__init);
    unsigned int of_kind = 0;

    if (one == NULL)
        return -ENOMEM;
    for (unsigned int i = 0; i < index; i++)
        of_kind += machine->device[i]->ops->device_id == dev->ops->device_id;
    if (asprintf(&one->name, "%s%u", dev->ops->name, of_kind) < 0) {
        one->name = NULL;
        return -ENOMEM;
    }
    for (unsigned int i = 0; i < dev->queue_count; i++) {
        struct virtqueue_figures figures = virtqueue_get_figures(&dev->queue[i]);

        one->requests += figures.requests;
        one->read_bytes += figures.read_bytes;
        one->written_bytes += figures.written_bytes;
        one->interrupts += figures.interrupts;
        one->errors += figures.errors;
    }
    return 0;
}

int kvm_stats(struct machine *machine, Control__StatsReply *stats)
{
    int code = kvm_counters_add(machine->counters_fd, &stats->kvm, &stats->n_kvm);

    for (unsigned int i = 0; i < machine->vcpu_count && code == 0; i++)
        code = add_vcpu(&machine->vcpu[i], stats);
    for (unsigned int i = 0; i < machine->device_count && code == 0; i++)
        code = add_device(machine, i, stats);
    return code;
}

/* SPDX-License-Identifier: MIT */
/* What a running machine tells of itself: its balloon, and figures of its parts. */
#include <linux/virtio_balloon.h>

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

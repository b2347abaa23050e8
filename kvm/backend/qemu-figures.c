/* SPDX-License-Identifier: MIT */
/* Implements the balloon under QEMU, through QMP. */
#include "kvm/backend/qemu-figures.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kvm/backend/qemu-args.h"
#include "kvm/counters.h"
#include "kvm/process-times.h"

#define BALLOON_PATH "/machine/peripheral/" QEMU_BALLOON
/* QEMU asks the guest by the clock only. */
#define POLL_SECONDS 1

/* QEMU's names of what the guest tells, and ours in the control protocol. */
static const struct {
    const char *qemu, *name;
} guest_stats[QEMU_GUEST_STATS] = {
    {"stat-swap-in", "swapped_in_bytes"},         {"stat-swap-out", "swapped_out_bytes"},
    {"stat-major-faults", "major_faults"},        {"stat-minor-faults", "minor_faults"},
    {"stat-free-memory", "free_bytes"},           {"stat-total-memory", "total_bytes"},
    {"stat-available-memory", "available_bytes"}, {"stat-disk-caches", "cache_bytes"},
};

void qemu_figures_init(struct qemu_figures *figures, struct qmp *qmp,
                       const struct machine_host *host, uint64_t memory_bytes)
{
    *figures = (struct qemu_figures){.qmp = qmp, .host = host, .memory_bytes = memory_bytes};
}

/* QEMU counts the memory that the guest has left. */
static void note_left(struct qemu_figures *figures, json_t *actual)
{
    uint64_t left = (uint64_t)json_integer_value(actual);

    if (json_is_integer(actual) && left <= figures->memory_bytes)
        figures->actual_bytes = figures->memory_bytes - left;
}

void qemu_figures_event(struct qemu_figures *figures, const char *event, json_t *data)
{
    if (strcmp(event, "BALLOON_CHANGE") != 0)
        return;
    note_left(figures, json_object_get(data, "actual"));
    if (figures->host->balloon_changed != NULL)
        figures->host->balloon_changed(figures->host->opaque);
}

void qemu_figures_set_balloon(struct qemu_figures *figures, uint64_t bytes)
{
    /* QEMU takes no 0; a page is as good as nothing. */
    uint64_t left = bytes < figures->memory_bytes ? figures->memory_bytes - bytes : 4096;

    if (qmp_query(figures->qmp, "balloon", json_pack("{s:I}", "value", (json_int_t)left), NULL,
                  NULL))
        figures->target_bytes = bytes;
}

static void on_balloon(void *opaque, json_t *result)
{
    struct qemu_figures *figures = opaque;

    note_left(figures, json_object_get(result, "actual"));
}

static void on_guest_stats(void *opaque, json_t *result)
{
    struct qemu_figures *figures = opaque;
    json_t *stats = json_object_get(result, "stats");

    figures->has_guest_stats = json_integer_value(json_object_get(result, "last-update")) > 0;
    for (unsigned int i = 0; i < QEMU_GUEST_STATS; i++) {
        json_t *value = json_object_get(stats, guest_stats[i].qemu);

        /* -1 stands for a figure that the guest did not tell. */
        figures->guest[i] =
            json_is_integer(value) ? (uint64_t)json_integer_value(value) : UINT64_MAX;
    }
    if (figures->host->refreshed != NULL)
        figures->host->refreshed(figures->host->opaque);
}

static void keep(json_t **kept, json_t *result)
{
    json_decref(*kept);
    *kept = json_incref(result);
}

static void on_cpus(void *opaque, json_t *result)
{
    keep(&((struct qemu_figures *)opaque)->cpus, result);
}

static void on_disks(void *opaque, json_t *result)
{
    keep(&((struct qemu_figures *)opaque)->disks, result);
}

void qemu_figures_fini(struct qemu_figures *figures)
{
    keep(&figures->cpus, NULL);
    keep(&figures->disks, NULL);
}

/* QEMU answers in order: the one that tells is asked last. */
bool qemu_figures_refresh(struct qemu_figures *figures)
{
    if (!figures->is_polling)
        figures->is_polling =
            qmp_query(figures->qmp, "qom-set",
                      json_pack("{s:s, s:s, s:i}", "path", BALLOON_PATH, "property",
                                "guest-stats-polling-interval", "value", POLL_SECONDS),
                      NULL, NULL);
    return qmp_query(figures->qmp, "query-cpus-fast", NULL, on_cpus, figures) &&
           qmp_query(figures->qmp, "query-blockstats", NULL, on_disks, figures) &&
           qmp_query(figures->qmp, "query-balloon", NULL, on_balloon, figures) &&
           qmp_query(figures->qmp, "qom-get",
                     json_pack("{s:s, s:s}", "path", BALLOON_PATH, "property", "guest-stats"),
                     on_guest_stats, figures);
}

int qemu_figures_balloon(const struct qemu_figures *figures, Control__Balloon *balloon)
{
    int code = 0;

    balloon->has_driver = figures->has_guest_stats;
    balloon->target_bytes = figures->target_bytes;
    balloon->actual_bytes = figures->actual_bytes;
    for (unsigned int i = 0; i < QEMU_GUEST_STATS && figures->has_guest_stats && code == 0; i++)
        if (figures->guest[i] != UINT64_MAX)
            code = counters_add(&balloon->guest, &balloon->n_guest, guest_stats[i].name,
                                figures->guest[i]);
    return code;
}

static int add_process(pid_t pid, Control__StatsReply *stats)
{
    struct process_times times = PROCESS_TIMES_NONE;
    struct process_figures figures;
    char dir[32];
    int code;

    (void)snprintf(dir, sizeof(dir), "/proc/%d", (int)pid);
    process_times_open(&times, dir);
    code = process_times_read(&times, &figures);
    process_times_close(&times);
    if (code < 0)
        return 0;
    stats->process = malloc(sizeof(*stats->process));
    if (stats->process == NULL)
        return -ENOMEM;
    control__process_stats__init(stats->process);
    stats->process->user_us = figures.user_us;
    stats->process->system_us = figures.system_us;
    stats->process->resident_bytes = figures.resident_bytes;
    return 0;
}

static int add_vcpu(pid_t pid, json_t *cpu, Control__StatsReply *stats)
{
    struct process_times times = PROCESS_TIMES_NONE;
    struct process_figures figures = {0};
    Control__VcpuStats *one = COUNTERS_APPEND(stats->vcpus, stats->n_vcpus, Control__VcpuStats,
                                              control__vcpu_stats__init);
    char dir[64];

    if (one == NULL)
        return -ENOMEM;
    (void)snprintf(dir, sizeof(dir), "/proc/%d/task/%lld", (int)pid,
                   (long long)json_integer_value(json_object_get(cpu, "thread-id")));
    process_times_open(&times, dir);
    (void)process_times_read(&times, &figures);
    process_times_close(&times);
    one->index = (uint32_t)json_integer_value(json_object_get(cpu, "cpu-index"));
    one->user_us = figures.user_us;
    one->system_us = figures.system_us;
    return 0;
}

static uint64_t sum(json_t *stats, const char *const *names)
{
    uint64_t total = 0;

    for (; *names != NULL; names++)
        total += (uint64_t)json_integer_value(json_object_get(stats, *names));
    return total;
}

static int add_disk(json_t *disk, Control__StatsReply *stats)
{
    static const char *const requests[] = {"rd_operations", "wr_operations", "flush_operations",
                                           "unmap_operations", NULL};
    static const char *const errors[] = {"failed_rd_operations", "failed_wr_operations",
                                         "failed_flush_operations", "failed_unmap_operations",
                                         NULL};
    static const char *const read_bytes[] = {"wr_bytes", NULL};
    static const char *const written_bytes[] = {"rd_bytes", NULL};
    json_t *figures = json_object_get(disk, "stats");
    Control__DeviceStats *one = COUNTERS_APPEND(stats->devices, stats->n_devices,
                                                Control__DeviceStats, control__device_stats__init);

    if (one == NULL)
        return -ENOMEM;
    if (asprintf(&one->name, "blk%zu", stats->n_devices - 1) < 0) {
        one->name = NULL;
        return -ENOMEM;
    }
    one->requests = sum(figures, requests);
    one->errors = sum(figures, errors);
    one->read_bytes = sum(figures, read_bytes);
    one->written_bytes = sum(figures, written_bytes);
    return 0;
}

int qemu_figures_stats(const struct qemu_figures *figures, pid_t pid, Control__StatsReply *stats)
{
    int code = add_process(pid, stats);
    json_t *item;
    size_t i;

    json_array_foreach(figures->cpus, i, item) code = code == 0 ? add_vcpu(pid, item, stats) : code;
    json_array_foreach(figures->disks, i, item) code = code == 0 ? add_disk(item, stats) : code;
    return code;
}

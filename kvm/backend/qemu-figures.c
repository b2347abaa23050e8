/* SPDX-License-Identifier: MIT */
/* Implements the balloon under QEMU, through QMP. */
#include "kvm/backend/qemu-figures.h"

#include <string.h>

#include "kvm/backend/qemu-args.h"
#include "kvm/counters.h"

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

bool qemu_figures_refresh(struct qemu_figures *figures)
{
    if (!figures->is_polling)
        figures->is_polling =
            qmp_query(figures->qmp, "qom-set",
                      json_pack("{s:s, s:s, s:i}", "path", BALLOON_PATH, "property",
                                "guest-stats-polling-interval", "value", POLL_SECONDS),
                      NULL, NULL);
    return qmp_query(figures->qmp, "query-balloon", NULL, on_balloon, figures) &&
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

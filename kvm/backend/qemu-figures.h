/* SPDX-License-Identifier: MIT */
/* The balloon of a machine under QEMU, and what QEMU tells of it. */
#ifndef KVM_BACKEND_QEMU_FIGURES_H
#define KVM_BACKEND_QEMU_FIGURES_H

#include "kvm/backend/qmp.h"
#include "kvm/machine.h"

enum { QEMU_GUEST_STATS = 8 };

/* Part of the machine; zero, but for what qemu_figures_init() sets. */
struct qemu_figures {
    struct qmp *qmp;
    const struct machine_host *host;
    uint64_t memory_bytes;
    uint64_t target_bytes, actual_bytes; /* of the balloon */
    bool is_polling;                     /* QEMU asks the guest for its figures now and then */
    bool has_guest_stats;
    uint64_t guest[QEMU_GUEST_STATS]; /* UINT64_MAX: not told */
    json_t *cpus, *disks;             /* as QEMU told last; NULL: it has not */
};

/* host and qmp outlive the figures' use. */
void qemu_figures_init(struct qemu_figures *figures, struct qmp *qmp,
                       const struct machine_host *host, uint64_t memory_bytes);
void qemu_figures_fini(struct qemu_figures *figures);
/* Looks at a QMP event. */
void qemu_figures_event(struct qemu_figures *figures, const char *event, json_t *data);
/* What machine_backend has under these names. */
void qemu_figures_set_balloon(struct qemu_figures *figures, uint64_t bytes);
bool qemu_figures_refresh(struct qemu_figures *figures);
int qemu_figures_balloon(const struct qemu_figures *figures, Control__Balloon *balloon);

/* pid: QEMU's. */
int qemu_figures_stats(const struct qemu_figures *figures, pid_t pid, Control__StatsReply *stats);

#endif

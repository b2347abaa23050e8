/* SPDX-License-Identifier: MIT */
/* The disks of a machine that QEMU runs: they come and go, are resized and limited, and wait for
   room on the host. */
#ifndef KVM_BACKEND_QEMU_DISKS_H
#define KVM_BACKEND_QEMU_DISKS_H

#include "kvm/backend/qmp.h"
#include "kvm/machine.h"

/* A disk that QEMU has; without a name: this one is free. */
struct qemu_disk {
    char name[MACHINE_DISK_NAME];
    bool is_full;
    int fd_set;            /* of one that was attached to the running machine; 0: it was not */
    machine_done_fn *done; /* it is being detached, and who is to be told */
    void *done_opaque;
};

/* Part of a machine; on the loop's thread. */
struct qemu_disks {
    const struct machine_host *host;
    struct qmp *qmp;
    const struct machine_config *config; /* the launcher's: names, paths, limits */
    struct event_source *timer;          /* looks for room */
    struct qemu_disk disk[MACHINE_MAX_DISKS];
    int last_fd_set;
};

int qemu_disks_init(struct qemu_disks *disks, const struct machine_host *host, struct qmp *qmp,
                    const struct machine_config *config, struct crosh_error *err);
/* Who waits for a disk to be given back is not answered. */
void qemu_disks_fini(struct qemu_disks *disks);
/* An event of QEMU's, of whatever kind. */
void qemu_disks_event(struct qemu_disks *disks, const char *event, json_t *data);

/* What machine_backend asks for. */
void qemu_disks_change(struct qemu_disks *disks, const struct machine_disk_change *change,
                       machine_done_fn *done, void *opaque);
bool qemu_disks_info(struct qemu_disks *disks, const char *name, struct machine_disk_info *info);
void qemu_disks_retry(struct qemu_disks *disks);

#endif

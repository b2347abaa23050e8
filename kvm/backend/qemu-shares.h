/* SPDX-License-Identifier: MIT */
/* Shared directories that come to a machine that QEMU runs, and go. */
#ifndef KVM_BACKEND_QEMU_SHARES_H
#define KVM_BACKEND_QEMU_SHARES_H

#include "kvm/backend/qmp.h"
#include "kvm/machine.h"

/* One that was attached; without a tag: this one is free. */
struct qemu_share {
    char tag[FS_TAG_MAX + 1];
    machine_done_fn *done; /* it is coming or going, and who is to be told */
    void *opaque;
    struct qemu_shares *shares;
};

/* Part of a machine; on the loop's thread. */
struct qemu_shares {
    const struct machine_host *host;
    struct qmp *qmp;
    struct qemu_share share[MACHINE_MAX_SHARES];
};

void qemu_shares_init(struct qemu_shares *shares, const struct machine_host *host, struct qmp *qmp);
/* An event of QEMU's, of whatever kind. */
void qemu_shares_event(struct qemu_shares *shares, const char *event, json_t *data);

/* What machine_backend asks for. */
void qemu_shares_attach(struct qemu_shares *shares, const struct fs_share *share,
                        machine_done_fn *done, void *opaque);
void qemu_shares_detach(struct qemu_shares *shares, const char *tag, machine_done_fn *done,
                        void *opaque);
bool qemu_shares_has(struct qemu_shares *shares, const char *tag);

#endif

/* SPDX-License-Identifier: MIT */
/* Implements the choice of a backend. */
#include "kvm/backend/choose.h"

#include <errno.h>
#include <stdio.h>

/* What is not there is a thing that the host cannot do, and no file that the user named. */
static void blame_host(struct crosh_error *err)
{
    if (err->code == -ENOENT)
        err->code = -EOPNOTSUPP;
}

static const struct machine_backend *probed(const struct machine_backend *backend,
                                            struct crosh_error *err)
{
    if (backend->probe(err) == 0)
        return backend;
    blame_host(err);
    return NULL;
}

const struct machine_backend *backend_choose(enum launcher_accel accel, char *notice, size_t size,
                                             struct crosh_error *err)
{
    struct crosh_error kvm_err = {0}, qemu_err = {0};

    notice[0] = '\0';
    if (accel == LAUNCHER_ACCEL_KVM)
        return probed(&machine_kvm, err);
    if (accel == LAUNCHER_ACCEL_TCG)
        return probed(&machine_qemu, err);
    if (machine_kvm.probe(&kvm_err) == 0)
        return &machine_kvm;
    if (machine_qemu.probe(&qemu_err) < 0) {
        crosh_error_set(err, kvm_err.code, "%s; and instead of KVM: %s", kvm_err.message,
                        qemu_err.message);
        crosh_error_hint(err, "%s; or %s", kvm_err.hint, qemu_err.hint);
        blame_host(err);
        return NULL;
    }
    /* One line; the remedy is worth its room only where there is something to do. */
    snprintf(notice, size, "%s: using QEMU's software emulation, which is much slower%s%s%s",
             kvm_err.message, kvm_err.code == -EOPNOTSUPP ? "" : " (",
             kvm_err.code == -EOPNOTSUPP ? "" : kvm_err.hint,
             kvm_err.code == -EOPNOTSUPP ? "" : ")");
    return &machine_qemu;
}

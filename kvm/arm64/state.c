/* SPDX-License-Identifier: MIT */
/* Snapshots of the arm64 machine: not made yet. */
#include <errno.h>

#include "kvm/backend/arch.h"
#include "kvm/backend/kvm-machine.h"

int arch_save(struct machine *machine, Snapshot__Machine *state, struct crosh_error *err)
{
    (void)machine, (void)state;
    return crosh_error_set(err, -EOPNOTSUPP, "a machine cannot be saved on arm64");
}

int arch_restore(struct machine *machine, const Snapshot__Machine *state, struct crosh_error *err)
{
    (void)machine, (void)state;
    return crosh_error_set(err, -EOPNOTSUPP, "a saved machine cannot be restored on arm64");
}

/* SPDX-License-Identifier: MIT */
/* Refuses snapshots: the state of an arm64 machine's vcpus and interrupt controller is not saved.
 */
#include <errno.h>

#include "kvm/backend/arch.h"

int arch_save(struct machine *machine, Snapshot__Machine *state, struct crosh_error *err)
{
    (void)machine, (void)state;
    return crosh_error_set(err, -EOPNOTSUPP, "snapshots are possible on x86 hosts only");
}

int arch_restore(struct machine *machine, const Snapshot__Machine *state, struct crosh_error *err)
{
    (void)machine, (void)state;
    return crosh_error_set(err, -EOPNOTSUPP, "snapshots are possible on x86 hosts only");
}

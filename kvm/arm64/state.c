/* SPDX-License-Identifier: MIT */
/* Saves and restores what only an arm64 machine has. */
#include "kvm/arm64/state.h"

#include <errno.h>
#include <stdlib.h>

#include "kvm/backend/arch.h"
#include "kvm/backend/kvm-machine.h"
#include "kvm/snapshot/format.h"

static int save_vcpus(struct machine *machine, Snapshot__Arm64 *arm64, struct crosh_error *err)
{
    arm64->vcpus = calloc(machine->vcpu_count, sizeof(*arm64->vcpus));
    if (arm64->vcpus == NULL)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    for (unsigned int i = 0; i < machine->vcpu_count; i++) {
        Snapshot__Arm64Vcpu *vcpu = SNAPSHOT_NEW(Snapshot__Arm64Vcpu, snapshot__arm64_vcpu__init);

        if (vcpu == NULL)
            return crosh_error_set(err, -ENOMEM, "out of memory");
        arm64->vcpus[arm64->n_vcpus++] = vcpu;
        if (arm64_vcpu_save(&machine->vcpu[i], vcpu, err) < 0)
            return crosh_error_wrap(err, "vcpu %u", i);
    }
    return 0;
}

int arch_save(struct machine *machine, Snapshot__Machine *state, struct crosh_error *err)
{
    Snapshot__Arm64 *arm64 = SNAPSHOT_NEW(Snapshot__Arm64, snapshot__arm64__init);
    int code;

    if (arm64 == NULL)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    state->arm64 = arm64;
    code = save_vcpus(machine, arm64, err);
    return code < 0 ? code : arm64_gic_save(machine, arm64, err);
}

int arch_restore(struct machine *machine, const Snapshot__Machine *state, struct crosh_error *err)
{
    const Snapshot__Arm64 *arm64 = state->arm64;

    if (arm64 == NULL)
        return crosh_error_set(err, -EPROTONOSUPPORT, "it is of another kind of machine");
    if (arm64->n_vcpus != machine->vcpu_count)
        return crosh_error_set(err, -EBADMSG, "the vcpus' state makes no sense");
    for (unsigned int i = 0; i < machine->vcpu_count; i++) {
        if (arm64_vcpu_restore(&machine->vcpu[i], arm64->vcpus[i], err) < 0)
            return crosh_error_wrap(err, "vcpu %u", i);
    }
    return arm64_gic_restore(machine, arm64, err);
}

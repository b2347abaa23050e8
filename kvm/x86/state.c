/* SPDX-License-Identifier: MIT */
/* Saves and restores what only an x86 machine has: interrupt controllers, KVM's clock, power. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "kvm/backend/arch.h"
#include "kvm/backend/kvm-machine.h"
#include "kvm/snapshot/format.h"
#include "kvm/x86/state.h"

static int save_irqchip(struct machine *machine, uint32_t id, ProtobufCBinaryData *to,
                        struct crosh_error *err)
{
    struct kvm_irqchip chip = {.chip_id = id};

    if (ioctl(machine->vm_fd, KVM_GET_IRQCHIP, &chip) < 0)
        return crosh_error_errno(err, "KVM_GET_IRQCHIP");
    return snapshot_set_bytes(to, &chip, sizeof(chip)) < 0
               ? crosh_error_set(err, -ENOMEM, "out of memory")
               : 0;
}

static int restore_irqchip(struct machine *machine, uint32_t id, const ProtobufCBinaryData *from,
                           struct crosh_error *err)
{
    struct kvm_irqchip chip;

    if (from->len != sizeof(chip))
        return crosh_error_set(err, -EBADMSG, "the interrupt controllers' state makes no sense");
    memcpy(&chip, from->data, sizeof(chip));
    if (chip.chip_id != id)
        return crosh_error_set(err, -EBADMSG, "the interrupt controllers' state makes no sense");
    if (ioctl(machine->vm_fd, KVM_SET_IRQCHIP, &chip) < 0)
        return crosh_error_errno(err, "KVM_SET_IRQCHIP");
    return 0;
}

static int save_vcpus(struct machine *machine, Snapshot__X86 *x86, struct crosh_error *err)
{
    x86->vcpus = calloc(machine->vcpu_count, sizeof(*x86->vcpus));
    if (x86->vcpus == NULL)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    for (unsigned int i = 0; i < machine->vcpu_count; i++) {
        Snapshot__X86Vcpu *vcpu = SNAPSHOT_NEW(Snapshot__X86Vcpu, snapshot__x86_vcpu__init);

        if (vcpu == NULL)
            return crosh_error_set(err, -ENOMEM, "out of memory");
        x86->vcpus[x86->n_vcpus++] = vcpu;
        if (x86_vcpu_save(&machine->vcpu[i], vcpu, err) < 0)
            return crosh_error_wrap(err, "vcpu %u", i);
    }
    return 0;
}

int arch_save(struct machine *machine, Snapshot__Machine *state, struct crosh_error *err)
{
    struct kvm_clock_data clock = {0};
    Snapshot__X86 *x86 = SNAPSHOT_NEW(Snapshot__X86, snapshot__x86__init);
    int code;

    if (x86 == NULL)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    state->x86 = x86;
    if (ioctl(machine->vm_fd, KVM_GET_CLOCK, &clock) < 0)
        return crosh_error_errno(err, "KVM_GET_CLOCK");
    x86->clock_ns = clock.clock;
    code = save_vcpus(machine, x86, err);
    if (code == 0)
        code = save_irqchip(machine, KVM_IRQCHIP_PIC_MASTER, &x86->pic_master, err);
    if (code == 0)
        code = save_irqchip(machine, KVM_IRQCHIP_PIC_SLAVE, &x86->pic_slave, err);
    if (code == 0)
        code = save_irqchip(machine, KVM_IRQCHIP_IOAPIC, &x86->ioapic, err);
    x86->power_pending = atomic_load(&machine->board.power.pending);
    x86->rtc_index = atomic_load(&machine->board.rtc.index);
    x86->rtc_mode = atomic_load(&machine->board.rtc.mode);
    return code;
}

/*
 * A guest takes it for granted that its vcpus' counters agree. They were read one
 * after the other, so small differences are the reading's: such vcpus get the first
 * one's value, which KVM takes as the wish to have them in step.
 */
static int restore_tscs(struct machine *machine, const Snapshot__X86 *x86, struct crosh_error *err)
{
    const Snapshot__X86Vcpu *first = x86->vcpus[0];
    uint64_t second = (uint64_t)first->tsc_khz * 1000;

    for (unsigned int i = 0; i < machine->vcpu_count; i++) {
        const Snapshot__X86Vcpu *vcpu = x86->vcpus[i];
        int64_t ahead = (int64_t)(vcpu->tsc - first->tsc);
        bool in_step = ahead >= 0 && (uint64_t)ahead < second;
        int code =
            x86_vcpu_restore_tsc(&machine->vcpu[i], vcpu, in_step ? first->tsc : vcpu->tsc, err);

        if (code < 0)
            return code;
    }
    return 0;
}

static int restore_vcpus(struct machine *machine, const Snapshot__X86 *x86, struct crosh_error *err)
{
    for (unsigned int i = 0; i < machine->vcpu_count; i++) {
        if (x86_vcpu_check(&machine->vcpu[i], x86->vcpus[i], err) < 0)
            return err->code;
        if (x86_vcpu_restore(&machine->vcpu[i], x86->vcpus[i], err) < 0)
            return crosh_error_wrap(err, "vcpu %u", i);
    }
    return 0;
}

int arch_restore(struct machine *machine, const Snapshot__Machine *state, struct crosh_error *err)
{
    const Snapshot__X86 *x86 = state->x86;
    struct kvm_clock_data clock = {0};
    int code;

    if (x86 == NULL)
        return crosh_error_set(err, -EPROTONOSUPPORT, "it is of another kind of machine");
    if (x86->n_vcpus != machine->vcpu_count)
        return crosh_error_set(err, -EBADMSG, "the vcpus' state makes no sense");
    code = restore_vcpus(machine, x86, err);
    if (code == 0)
        code = restore_irqchip(machine, KVM_IRQCHIP_PIC_MASTER, &x86->pic_master, err);
    if (code == 0)
        code = restore_irqchip(machine, KVM_IRQCHIP_PIC_SLAVE, &x86->pic_slave, err);
    if (code == 0)
        code = restore_irqchip(machine, KVM_IRQCHIP_IOAPIC, &x86->ioapic, err);
    if (code == 0)
        code = restore_tscs(machine, x86, err);
    if (code < 0)
        return code;
    clock.clock = x86->clock_ns;
    if (ioctl(machine->vm_fd, KVM_SET_CLOCK, &clock) < 0)
        return crosh_error_errno(err, "KVM_SET_CLOCK");
    code = board_new_generation(machine, err);
    if (code < 0)
        return code;
    rtc_restore(&machine->board.rtc, x86->rtc_index, x86->rtc_mode);
    /* The edge that told of the events before may have been on its way: it is sent anew. */
    power_tell(&machine->board.power, x86->power_pending | POWER_EVENT_GENERATION);
    return 0;
}

/* SPDX-License-Identifier: MIT */
/* What is arm64's own about running vcpus: their set-up, PSCI's ends, their registers as text. */
#include "kvm/arm64/vcpu.h"

#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/ioctl.h>

#include "kvm/backend/arch.h"
#include "kvm/backend/kvm-machine.h"

#define CORE_REG(name)                                                                             \
    (KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE |                                         \
     (offsetof(struct kvm_regs, name) / sizeof(uint32_t)))

/* Aff3 is in bits 32 to 39, Aff2 to Aff0 in the lowest 24. */
#define AFFINITY_MASK UINT64_C(0xff00ffffff)

/* System registers by op0, op1, CRn, CRm, op2 (Arm ARM, D13). */
#define REG_MPIDR_EL1 ARM64_SYS_REG(3, 0, 0, 0, 5)
#define REG_SCTLR_EL1 ARM64_SYS_REG(3, 0, 1, 0, 0)
#define REG_TTBR0_EL1 ARM64_SYS_REG(3, 0, 2, 0, 0)
#define REG_TTBR1_EL1 ARM64_SYS_REG(3, 0, 2, 0, 1)
#define REG_ESR_EL1   ARM64_SYS_REG(3, 0, 5, 2, 0)
#define REG_FAR_EL1   ARM64_SYS_REG(3, 0, 6, 0, 0)

static int get_reg(int vcpu_fd, uint64_t id, uint64_t *value)
{
    struct kvm_one_reg reg = {.id = id, .addr = (uintptr_t)value};

    return ioctl(vcpu_fd, KVM_GET_ONE_REG, &reg);
}

static int set_reg(int vcpu_fd, uint64_t id, uint64_t value)
{
    struct kvm_one_reg reg = {.id = id, .addr = (uintptr_t)&value};

    return ioctl(vcpu_fd, KVM_SET_ONE_REG, &reg);
}

/* Only the first vcpu runs; the kernel turns the others on by PSCI. */
int arch_vcpus_init(struct machine *machine, struct crosh_error *err)
{
    struct kvm_vcpu_init init = {0};

    if (ioctl(machine->vm_fd, KVM_ARM_PREFERRED_TARGET, &init) < 0)
        return crosh_error_errno(err, "KVM_ARM_PREFERRED_TARGET");
    init.features[0] = 1u << KVM_ARM_VCPU_PSCI_0_2;
    for (unsigned int i = 0; i < machine->vcpu_count; i++) {
        if (i > 0)
            init.features[0] |= 1u << KVM_ARM_VCPU_POWER_OFF;
        if (ioctl(machine->vcpu[i].fd, KVM_ARM_VCPU_INIT, &init) < 0)
            return crosh_error_errno(err, "vcpu %u: KVM_ARM_VCPU_INIT", i);
    }
    return 0;
}

int vcpu_affinity(int vcpu_fd, uint64_t *affinity, struct crosh_error *err)
{
    if (get_reg(vcpu_fd, REG_MPIDR_EL1, affinity) < 0)
        return crosh_error_errno(err, "KVM_GET_ONE_REG");
    *affinity &= AFFINITY_MASK;
    return 0;
}

int vcpu_set_entry(int vcpu_fd, uint64_t pc, uint64_t fdt, struct crosh_error *err)
{
    if (set_reg(vcpu_fd, CORE_REG(regs.pc), pc) < 0 ||
        set_reg(vcpu_fd, CORE_REG(regs.regs[0]), fdt) < 0)
        return crosh_error_errno(err, "KVM_SET_ONE_REG");
    return 0;
}

/* PSCI's SYSTEM_OFF, SYSTEM_RESET, and SYSTEM_RESET2, which is a panic's (see arch_cmdline). */
static void handle_system_event(struct kvm_vcpu *vcpu)
{
    const struct kvm_run *run = vcpu->run;
    struct machine *machine = vcpu->machine;

    switch (run->system_event.type) {
    case KVM_SYSTEM_EVENT_SHUTDOWN:
        kvm_machine_end(machine, MACHINE_END_POWEROFF, "the guest powered off (PSCI)");
        break;
    case KVM_SYSTEM_EVENT_RESET:
        if (run->system_event.ndata > 0 &&
            (run->system_event.data[0] & KVM_SYSTEM_EVENT_RESET_FLAG_PSCI_RESET2) != 0)
            kvm_machine_end(machine, MACHINE_END_CRASH,
                            "the guest's kernel panicked (PSCI warm reset)");
        else
            kvm_machine_end(machine, MACHINE_END_RESET, "the guest rebooted (PSCI)");
        break;
    default:
        kvm_vcpu_crash(vcpu, "the guest reports a crash to the hypervisor");
        break;
    }
}

bool arch_handle_exit(struct kvm_vcpu *vcpu)
{
    char what[96];

    switch (vcpu->run->exit_reason) {
    case KVM_EXIT_SYSTEM_EVENT:
        handle_system_event(vcpu);
        return true;
    case KVM_EXIT_ARM_NISV:
        (void)snprintf(what, sizeof(what), "KVM cannot decode an access to %#llx",
                       (unsigned long long)vcpu->run->arm_nisv.fault_ipa);
        kvm_vcpu_crash(vcpu, what);
        return true;
    default:
        return false;
    }
}

void arch_describe_registers(struct kvm_vcpu *vcpu, char *text, size_t size)
{
    static const struct {
        const char *name;
        uint64_t id;
    } shown[] = {{"pc", CORE_REG(regs.pc)},
                 {"sp", CORE_REG(sp_el1)},
                 {"pstate", CORE_REG(regs.pstate)},
                 {"lr", CORE_REG(regs.regs[30])},
                 {"elr", CORE_REG(elr_el1)},
                 {"esr", REG_ESR_EL1},
                 {"far", REG_FAR_EL1},
                 {"sctlr", REG_SCTLR_EL1},
                 {"ttbr0", REG_TTBR0_EL1},
                 {"ttbr1", REG_TTBR1_EL1}};
    size_t used = 0;

    text[0] = '\0';
    for (size_t i = 0; i < sizeof(shown) / sizeof(shown[0]) && used < size; i++) {
        uint64_t value = 0;

        (void)get_reg(vcpu->fd, shown[i].id, &value);
        used += (size_t)snprintf(text + used, size - used, "%s%s %#" PRIx64, i > 0 ? " " : "",
                                 shown[i].name, value);
    }
}

void arch_report(struct kvm_vcpu *vcpu, json_t *object)
{
    json_t *general = json_object();
    char text[512];

    for (unsigned int i = 0; i < 31; i++) {
        uint64_t value = 0;
        char name[8], hex[24];

        /* Registers are counted in units of 32 bits. */
        if (get_reg(vcpu->fd, CORE_REG(regs.regs[0]) + 2 * i, &value) < 0)
            continue;
        (void)snprintf(name, sizeof(name), "x%u", i);
        (void)snprintf(hex, sizeof(hex), "%#" PRIx64, value);
        (void)json_object_set_new(general, name, json_string(hex));
    }
    (void)json_object_set_new(object, "general", general);
    arch_describe_registers(vcpu, text, sizeof(text));
    (void)json_object_set_new(object, "special", json_string(text));
}

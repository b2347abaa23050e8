/* SPDX-License-Identifier: MIT */
/* What is x86's own about running vcpus: their set-up, port accesses, their registers as text. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "kvm/backend/arch.h"
#include "kvm/backend/kvm-machine.h"
#include "kvm/x86/cpu.h"
#include "lib/base/cleanup.h"

int arch_vcpus_init(struct machine *machine, struct crosh_error *err)
{
    cleanup_free struct kvm_cpuid2 *cpuid = cpu_supported_cpuid(machine->kvm_fd, err);

    if (cpuid == NULL)
        return -EIO;
    for (unsigned int i = 0; i < machine->vcpu_count; i++) {
        if (cpu_setup(machine->kvm_fd, machine->vcpu[i].fd, cpuid, i, machine->vcpu_count, err) < 0)
            return crosh_error_wrap(err, "vcpu %u", i);
    }
    return 0;
}

static void handle_ports(struct kvm_vcpu *vcpu)
{
    struct kvm_run *run = vcpu->run;
    const struct bus *ports = &vcpu->machine->board.ports;
    uint8_t *data = (uint8_t *)run + run->io.data_offset;

    for (uint32_t i = 0; i < run->io.count; i++, data += run->io.size) {
        uint64_t value = 0;

        if (run->io.direction == KVM_EXIT_IO_OUT) {
            memcpy(&value, data, run->io.size);
            bus_write(ports, run->io.port, value, run->io.size);
        } else {
            value = bus_read(ports, run->io.port, run->io.size);
            memcpy(data, &value, run->io.size);
        }
    }
}

bool arch_handle_exit(struct kvm_vcpu *vcpu)
{
    switch (vcpu->run->exit_reason) {
    case KVM_EXIT_IO:
        handle_ports(vcpu);
        return true;
    case KVM_EXIT_SHUTDOWN:
        kvm_vcpu_crash(vcpu, "triple fault");
        return true;
    case KVM_EXIT_SYSTEM_EVENT:
        kvm_vcpu_crash(vcpu, "the guest reports a crash to the hypervisor");
        return true;
    default:
        return false;
    }
}

void arch_describe_registers(struct kvm_vcpu *vcpu, char *text, size_t size)
{
    struct kvm_regs regs = {0};
    struct kvm_sregs sregs = {0};

    (void)ioctl(vcpu->fd, KVM_GET_REGS, &regs);
    (void)ioctl(vcpu->fd, KVM_GET_SREGS, &sregs);
    (void)snprintf(text, size,
                   "rip %#" PRIx64 " rsp %#" PRIx64 " rflags %#" PRIx64 " cs %#x cr0 %#" PRIx64
                   " cr2 %#" PRIx64 " cr3 %#" PRIx64 " cr4 %#" PRIx64 " efer %#" PRIx64,
                   (uint64_t)regs.rip, (uint64_t)regs.rsp, (uint64_t)regs.rflags, sregs.cs.selector,
                   (uint64_t)sregs.cr0, (uint64_t)sregs.cr2, (uint64_t)sregs.cr3,
                   (uint64_t)sregs.cr4, (uint64_t)sregs.efer);
}

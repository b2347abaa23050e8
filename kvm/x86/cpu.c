/* SPDX-License-Identifier: MIT */
/* Sets up a vcpu's registers (Intel SDM volume 3; Linux boot protocol for the boot CPU). */
#include "kvm/x86/cpu.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "kvm/x86/layout.h"
#include "lib/base/cleanup.h"

enum {
    MSR_MISC_ENABLE = 0x1a0,
    MISC_ENABLE_FAST_STRING = 1,
    MSR_MTRR_DEFAULT_TYPE = 0x2ff,
    MTRR_ENABLED_WRITE_BACK = 0x806,

    LAPIC_LVT_LINT0 = 0x350,
    LAPIC_LVT_LINT1 = 0x360,
    LVT_EXTINT = 0x700,
    LVT_NMI = 0x400,

    CR0_PROTECTED = 1 << 0,
    CR0_EXTENSION_TYPE = 1 << 4,
    CR4_PAE = 1 << 5,
    EFER_LONG_ENABLE = 1 << 8,
    EFER_LONG_ACTIVE = 1 << 10,
    SELECTOR_CODE = 0x10,
    SELECTOR_DATA = 0x18,
    RFLAGS_RESERVED = 2,
};
#define CR0_PAGING (1u << 31)

static int set_cpuid(int kvm_fd, int vcpu_fd, const struct kvm_cpuid2 *supported,
                     unsigned int index, unsigned int count, struct crosh_error *err)
{
    size_t size = sizeof(*supported) + supported->nent * sizeof(supported->entries[0]);
    cleanup_free struct kvm_cpuid2 *cpuid = malloc(size);

    if (cpuid == NULL)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    memcpy(cpuid, supported, size);
    cpu_patch_cpuid(cpuid, index, count,
                    ioctl(kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_TSC_DEADLINE_TIMER) > 0);
    if (ioctl(vcpu_fd, KVM_SET_CPUID2, cpuid) < 0)
        return crosh_error_errno(err, "KVM_SET_CPUID2");
    return 0;
}

static int set_msr(int vcpu_fd, uint32_t number, uint64_t value, struct crosh_error *err)
{
    cleanup_free struct kvm_msrs *msrs = calloc(1, sizeof(*msrs) + sizeof(msrs->entries[0]));
    int set;

    if (msrs == NULL)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    msrs->nmsrs = 1;
    msrs->entries[0] = (struct kvm_msr_entry){.index = number, .data = value};
    set = ioctl(vcpu_fd, KVM_SET_MSRS, msrs);
    if (set < 0)
        return crosh_error_errno(err, "KVM_SET_MSRS");
    return set == 1 ? 0 : crosh_error_set(err, -EIO, "KVM refuses MSR %#x", number);
}

static int set_msrs(int vcpu_fd, struct crosh_error *err)
{
    int code = set_msr(vcpu_fd, MSR_MISC_ENABLE, MISC_ENABLE_FAST_STRING, err);

    return code < 0 ? code : set_msr(vcpu_fd, MSR_MTRR_DEFAULT_TYPE, MTRR_ENABLED_WRITE_BACK, err);
}

/* As firmware leaves it: the old interrupt controller on LINT0, NMI on LINT1. */
static int set_lapic(int vcpu_fd, struct crosh_error *err)
{
    struct kvm_lapic_state lapic;
    uint32_t lint0 = LVT_EXTINT, lint1 = LVT_NMI;

    if (ioctl(vcpu_fd, KVM_GET_LAPIC, &lapic) < 0)
        return crosh_error_errno(err, "KVM_GET_LAPIC");
    memcpy(lapic.regs + LAPIC_LVT_LINT0, &lint0, sizeof(lint0));
    memcpy(lapic.regs + LAPIC_LVT_LINT1, &lint1, sizeof(lint1));
    if (ioctl(vcpu_fd, KVM_SET_LAPIC, &lapic) < 0)
        return crosh_error_errno(err, "KVM_SET_LAPIC");
    return 0;
}

int cpu_setup(int kvm_fd, int vcpu_fd, const struct kvm_cpuid2 *supported, unsigned int index,
              unsigned int count, struct crosh_error *err)
{
    int code = set_cpuid(kvm_fd, vcpu_fd, supported, index, count, err);

    if (code == 0)
        code = set_msrs(vcpu_fd, err);
    if (code == 0)
        code = set_lapic(vcpu_fd, err);
    return code;
}

int cpu_set_boot_registers(int vcpu_fd, uint64_t entry, struct crosh_error *err)
{
    struct kvm_segment code = {.limit = 0xffffffff,
                               .selector = SELECTOR_CODE,
                               .type = 11, /* execute, read, accessed */
                               .present = 1,
                               .s = 1,
                               .l = 1,
                               .g = 1};
    struct kvm_segment data = {.limit = 0xffffffff,
                               .selector = SELECTOR_DATA,
                               .type = 3, /* read, write, accessed */
                               .present = 1,
                               .s = 1,
                               .db = 1,
                               .g = 1};
    struct kvm_regs regs = {.rip = entry,
                            .rsi = LAYOUT_BOOT_PARAMS,
                            .rsp = LAYOUT_BOOT_STACK,
                            .rflags = RFLAGS_RESERVED};
    struct kvm_sregs sregs;

    if (ioctl(vcpu_fd, KVM_GET_SREGS, &sregs) < 0)
        return crosh_error_errno(err, "KVM_GET_SREGS");
    sregs.cs = code;
    sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = data;
    sregs.gdt.base = LAYOUT_GDT;
    sregs.gdt.limit = 4 * 8 - 1;
    sregs.idt.base = 0;
    sregs.idt.limit = 0;
    sregs.cr0 = CR0_PROTECTED | CR0_EXTENSION_TYPE | CR0_PAGING;
    sregs.cr3 = LAYOUT_PAGE_TABLES;
    sregs.cr4 = CR4_PAE;
    sregs.efer = EFER_LONG_ENABLE | EFER_LONG_ACTIVE;
    if (ioctl(vcpu_fd, KVM_SET_SREGS, &sregs) < 0)
        return crosh_error_errno(err, "KVM_SET_SREGS");
    if (ioctl(vcpu_fd, KVM_SET_REGS, &regs) < 0)
        return crosh_error_errno(err, "KVM_SET_REGS");
    return 0;
}

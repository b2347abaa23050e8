/* SPDX-License-Identifier: MIT */
/* The state in which a vcpu starts: CPUID, MSRs, local APIC, registers. */
#ifndef KVM_X86_CPU_H
#define KVM_X86_CPU_H

#include <linux/kvm.h>
#include <stdint.h>

#include <crosh/error.h>

/* What the host's KVM can give a guest; to be freed. NULL with err filled. */
struct kvm_cpuid2 *cpu_supported_cpuid(int kvm_fd, struct crosh_error *err);

/* Adds what some KVMs leave out of that: at most two entries, for which there must be room. Pure.
 */
void cpu_complete_cpuid(struct kvm_cpuid2 *cpuid);

/*
 * Makes host's table that of vcpu number index of count (one package, one thread
 * per core). Pure; changes entries in place.
 */
void cpu_patch_cpuid(struct kvm_cpuid2 *cpuid, unsigned int index, unsigned int count,
                     int has_tsc_deadline);

/* Sets up a new vcpu, except for the boot CPU's registers. supported is not changed. */
int cpu_setup(int kvm_fd, int vcpu_fd, const struct kvm_cpuid2 *supported, unsigned int index,
              unsigned int count, struct crosh_error *err);

/* The boot CPU's: 64-bit mode with paging, at entry, as the Linux boot protocol has it. */
int cpu_set_boot_registers(int vcpu_fd, uint64_t entry, struct crosh_error *err);

#endif

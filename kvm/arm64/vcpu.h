/* SPDX-License-Identifier: MIT */
/* Registers of a vcpu that the boot has to know or to set. */
#ifndef KVM_ARM64_VCPU_H
#define KVM_ARM64_VCPU_H

#include <stdint.h>

#include <crosh/error.h>

/* The number by which the device tree and PSCI name a vcpu: the affinity fields of MPIDR_EL1. */
int vcpu_affinity(int vcpu_fd, uint64_t *affinity, struct crosh_error *err);
/* The boot CPU's registers, as the Linux boot protocol has it (booting.rst). */
int vcpu_set_entry(int vcpu_fd, uint64_t pc, uint64_t fdt, struct crosh_error *err);

#endif

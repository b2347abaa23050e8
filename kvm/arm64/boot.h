/* SPDX-License-Identifier: MIT */
/* Puts a kernel, its initramfs and the device tree into guest memory. */
#ifndef KVM_ARM64_BOOT_H
#define KVM_ARM64_BOOT_H

#include <stdbool.h>
#include <stdint.h>

#include <crosh/error.h>

#include "kvm/guest-memory.h"
#include "kvm/machine.h"

struct boot_config {
    const char *kernel;
    const char *initrd;  /* NULL: none */
    const char *cmdline; /* whole */
    unsigned int vcpus;
    bool has_pci;
    unsigned int mmio_count;              /* virtio devices at the places of arch_mmio_place() */
    uint64_t affinity[MACHINE_MAX_VCPUS]; /* see vcpu_affinity() */
};

/* Guest physical addresses. */
struct boot_entry {
    uint64_t pc;
    uint64_t fdt;
};

/* Fills memory (zeroed) and tells where the boot CPU starts, and with what. */
int boot_load(const struct boot_config *config, const struct guest_memory *memory,
              struct boot_entry *entry, struct crosh_error *err);

#endif

/* SPDX-License-Identifier: MIT */
/* Puts a kernel, its initramfs and all it is handed at entry into guest memory. */
#ifndef KVM_X86_BOOT_H
#define KVM_X86_BOOT_H

#include <stdint.h>

#include <crosh/error.h>

#include "kvm/guest-memory.h"
#include "kvm/x86/acpi.h"

struct boot_config {
    const char *kernel;
    const char *initrd;  /* NULL: none */
    const char *cmdline; /* whole */
    struct acpi_config acpi;
};

/* Fills memory (zeroed) and tells where the boot CPU starts, in 64-bit mode. */
int boot_load(const struct boot_config *config, const struct guest_memory *memory, uint64_t *entry,
              struct crosh_error *err);

#endif

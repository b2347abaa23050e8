/* SPDX-License-Identifier: MIT */
/* The machine's ACPI tables. */
#ifndef KVM_X86_ACPI_H
#define KVM_X86_ACPI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What the tables describe. */
struct acpi_config {
    unsigned int vcpus;
    /* PCI is there from the start; else a host bridge appears with the first device that comes
       while the guest runs. */
    bool has_pci;
    unsigned int mmio_count; /* virtio devices at the places of arch_mmio_place() */
};

/*
 * Writes all tables into buffer (of size bytes, to be seen by the guest at gpa,
 * 16-byte aligned), the RSDP first. Pure. Returns the bytes used; -ENOSPC when
 * they do not fit.
 */
int acpi_build(uint8_t *buffer, size_t size, uint64_t gpa, const struct acpi_config *config);

#endif

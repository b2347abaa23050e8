/* SPDX-License-Identifier: MIT */
/* The machine's ACPI tables. */
#ifndef KVM_X86_ACPI_H
#define KVM_X86_ACPI_H

#include <stddef.h>
#include <stdint.h>

/*
 * Writes all tables into buffer (of size bytes, to be seen by the guest at gpa,
 * 16-byte aligned), the RSDP first. Pure. Returns the bytes used; -ENOSPC when
 * they do not fit.
 */
int acpi_build(uint8_t *buffer, size_t size, uint64_t gpa, unsigned int vcpus);

#endif

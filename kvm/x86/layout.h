/* SPDX-License-Identifier: MIT */
/* The guest physical address map and interrupt lines of our machine. */
#ifndef KVM_X86_LAYOUT_H
#define KVM_X86_LAYOUT_H

#include <stdint.h>

/* Below 1 MiB: what the kernel is handed at its entry (all of it RAM). */
#define LAYOUT_GDT              0x500u
#define LAYOUT_BOOT_STACK       0x7000u /* grows down */
#define LAYOUT_BOOT_PARAMS      0x7000u
#define LAYOUT_SETUP_DATA       0x8000u
#define LAYOUT_PAGE_TABLES      0x9000u /* PML4, PDPT, four page directories */
#define LAYOUT_CMDLINE          0x20000u
#define LAYOUT_CMDLINE_MAX      0x10000u
#define LAYOUT_LOW_RAM_END      0x9fc00u /* above: where a BIOS has its data */
#define LAYOUT_ACPI             0xe0000u
#define LAYOUT_ACPI_MAX         0x1f000u
#define LAYOUT_GENERATION       0xff000u /* 16 bytes that change with every restore; see acpi.c */
#define LAYOUT_GENERATION_BYTES 16
#define LAYOUT_RESET_VECTOR     0xffff0u
#define LAYOUT_HIGH_RAM         0x100000u

/* RAM begins at LAYOUT_RAM, reaches up to the hole and goes on behind it. */
#define LAYOUT_RAM        UINT64_C(0)
#define LAYOUT_HOLE_START UINT64_C(0xc0000000)
#define LAYOUT_HOLE_END   UINT64_C(0x100000000)

#define LAYOUT_PCI_WINDOW      0xc0000000u
#define LAYOUT_PCI_WINDOW_SIZE 0x20000000u
#define LAYOUT_ECAM            0xe0000000u
#define LAYOUT_ECAM_SIZE       0x00100000u /* one bus */
#define LAYOUT_VIRTIO_MMIO     0xe0200000u /* one page for each device */
#define LAYOUT_IOAPIC          0xfec00000u
#define LAYOUT_LAPIC           0xfee00000u
#define LAYOUT_IDENTITY_MAP    0xfffbc000u /* one page, for Intel hosts without unrestricted guest */
#define LAYOUT_TSS             0xfffbd000u /* three pages, likewise */

#define LAYOUT_COM1_PORT 0x3f8
#define LAYOUT_COM1_IRQ  4
#define LAYOUT_GED_IRQ   5
#define LAYOUT_MMIO_IRQ  6  /* and those behind it: virtio devices that are not on PCI */
#define LAYOUT_PINS      24 /* of the I/O APIC */

#endif

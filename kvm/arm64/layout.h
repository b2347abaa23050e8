/* SPDX-License-Identifier: MIT */
/* The guest physical address map and interrupt lines of our arm64 machine. */
#ifndef KVM_ARM64_LAYOUT_H
#define KVM_ARM64_LAYOUT_H

#include <stdint.h>

/* Below RAM: the interrupt controller, the serial port, and PCI. */
#define LAYOUT_GICD            0x08000000u
#define LAYOUT_GICD_SIZE       0x00010000u
#define LAYOUT_ITS             0x08080000u
#define LAYOUT_ITS_SIZE        0x00020000u
#define LAYOUT_GICR            0x080a0000u
#define LAYOUT_GICR_SIZE       0x00020000u /* for each vcpu */
#define LAYOUT_VIRTIO_MMIO     0x0a000000u /* one page for each device */
#define LAYOUT_SERIAL          0x0f000000u
#define LAYOUT_SERIAL_SIZE     0x00001000u
#define LAYOUT_PCI_WINDOW      0x10000000u
#define LAYOUT_PCI_WINDOW_SIZE 0x20000000u
#define LAYOUT_ECAM            0x30000000u
#define LAYOUT_ECAM_SIZE       0x00100000u /* one bus */

/* RAM is in one piece, as far as the 40 bits of guest physical addresses that every KVM has. */
#define LAYOUT_RAM        UINT64_C(0x40000000)
#define LAYOUT_HOLE_START (UINT64_C(1) << 40)
#define LAYOUT_HOLE_END   LAYOUT_HOLE_START

/* Pin n is shared peripheral interrupt n, which the interrupt controller numbers 32 + n. */
#define LAYOUT_PINS       32
#define LAYOUT_SERIAL_PIN 0
#define LAYOUT_MMIO_PIN   1 /* and those behind it: virtio devices that are not on PCI */

#endif

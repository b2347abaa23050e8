/* SPDX-License-Identifier: MIT */
/* The registers by which a guest ends (sleep, reset, panic) and learns of the power button. */
#ifndef KVM_HW_POWER_H
#define KVM_HW_POWER_H

#include <stdatomic.h>
#include <stdint.h>

#include "kvm/hw/bus.h"

/* I/O ports, as the ACPI tables announce them. */
#define POWER_PORT_BASE   0x600
#define POWER_PORTS       8
#define POWER_PORT_SLEEP  (POWER_PORT_BASE + 0) /* sleep control register (ACPI 6.4, 4.8.3.7) */
#define POWER_PORT_STATUS (POWER_PORT_BASE + 1) /* sleep status register */
#define POWER_PORT_RESET  (POWER_PORT_BASE + 2) /* FADT reset register; written 1 */
#define POWER_PORT_STUB   (POWER_PORT_BASE + 3) /* written by the code at the reset vector */
#define POWER_PORT_EVENT                                                                           \
    (POWER_PORT_BASE + 4) /* generic event device: bits pending, read clears                       \
                           */
#define POWER_PORT_PVPANIC                                                                         \
    (POWER_PORT_BASE + 5) /* QEMU's pvpanic: bit 0 a panic, bit 1 kdump ran */

#define POWER_RESET_VALUE      1
#define POWER_SLEEP_TYPE       5 /* SLP_TYP of S5 */
#define POWER_EVENT_BUTTON     0x01
#define POWER_EVENT_GENERATION 0x02 /* the VM began again from a snapshot */
#define POWER_EVENT_HOTPLUG    0x04 /* the hot-plug registers have news */

#define I8042_PORT_DATA   0x60
#define I8042_PORT_STATUS 0x64

enum power_event {
    POWER_EVENT_OFF,
    POWER_EVENT_RESET,
    POWER_EVENT_PANIC,
};

struct power {
    int irq_fd; /* eventfd of the generic event device's interrupt; not owned */
    /* What the guest asked for; called on the vcpu's thread. how: the register's name. */
    void (*event)(void *opaque, enum power_event event, const char *how);
    void *opaque;
    atomic_uint pending; /* POWER_EVENT_BUTTON */
};

extern const struct bus_ops power_bus_ops; /* POWER_PORT_BASE; opaque: struct power */
/* An absent keyboard controller of which only the reset line is wired; opaque: struct power. */
extern const struct bus_ops i8042_data_bus_ops, i8042_status_bus_ops;

/* Presses the power button; from any thread. */
void power_press_button(struct power *power);
/* Tells of a POWER_EVENT_*; from any thread. */
void power_tell(struct power *power, unsigned int event);

#endif

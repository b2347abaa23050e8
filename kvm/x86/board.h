/* SPDX-License-Identifier: MIT */
/* What a machine has on x86 only: an address space of ports, and the power registers in it. */
#ifndef KVM_X86_BOARD_H
#define KVM_X86_BOARD_H

#include "kvm/hw/bus.h"
#include "kvm/hw/power.h"
#include "kvm/hw/rtc.h"

#define ARCH_MSI_FLAGS 0 /* messages do not depend on who sends them */

struct arch_board {
    struct bus ports;
    struct power power;
    int power_irq_fd;
    struct rtc rtc;
};
#define ARCH_BOARD_INIT                                                                            \
    {                                                                                              \
        .power_irq_fd = -1                                                                         \
    }

struct machine;
struct crosh_error;

/* Gives the VM a generation id (acpi.c) that no other has. */
int board_new_generation(struct machine *machine, struct crosh_error *err);

#endif

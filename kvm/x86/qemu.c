/* SPDX-License-Identifier: MIT */
/* The x86 machine that QEMU emulates. */
#include "kvm/backend/qemu-args.h"

const struct arch_qemu arch_qemu = {
    .program = "qemu-system-x86_64",
    .package = "qemu-system-x86",
    .machine = "q35",
    /* Five-level paging would make every emulated page walk longer. */
    .cpu = "max,la57=off",
    .panic_device = "pvpanic",
    .hotplug_bus = "pcie-pci-bridge",
    /* no_timer_check: on a loaded host the emulated timer may be late when the kernel looks whether
       it ticks at all, and the kernel would panic. */
    .cmdline = "console=ttyS0 panic=-1 quiet cryptomgr.notests no_timer_check",
};

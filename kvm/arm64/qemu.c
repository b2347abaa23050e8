/* SPDX-License-Identifier: MIT */
/* The arm64 machine that QEMU emulates. */
#include "kvm/backend/qemu-args.h"

const struct arch_qemu arch_qemu = {
    .program = "qemu-system-aarch64",
    .package = "qemu-system-arm",
    .machine = "virt,gic-version=3",
    /* Pointer authentication by the architecture's cipher would cost more than all else. */
    .cpu = "max,pauth-impdef=on",
    .panic_device = "pvpanic-pci",
    /* The board's own takes the driver gpio-keys, which cloud kernels leave out. */
    .button_device = "virtio-keyboard-pci",
    .cmdline = "console=ttyAMA0 panic=-1 quiet cryptomgr.notests",
};

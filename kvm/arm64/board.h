/* SPDX-License-Identifier: MIT */
/* What a machine has on arm64 only: its interrupt controller is two devices of KVM's. */
#ifndef KVM_ARM64_BOARD_H
#define KVM_ARM64_BOARD_H

#include <linux/kvm.h>

#define ARCH_MSI_FLAGS KVM_MSI_VALID_DEVID /* the ITS has a table for each sender */

struct arch_board {
    int gic_fd, its_fd;
};
#define ARCH_BOARD_INIT                                                                            \
    {                                                                                              \
        .gic_fd = -1, .its_fd = -1                                                                 \
    }

#endif

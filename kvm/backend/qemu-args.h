/* SPDX-License-Identifier: MIT */
/* The command line that describes a machine to QEMU. */
#ifndef KVM_BACKEND_QEMU_ARGS_H
#define KVM_BACKEND_QEMU_ARGS_H

#include "kvm/machine.h"

#define QEMU_ARGS_MAX 128

struct qemu_args {
    unsigned int count;
    char *argv[QEMU_ARGS_MAX]; /* NULL-terminated, each on the heap */
};

/* The descriptors are QEMU's ends of socket pairs. 0, or -ENOMEM. */
int qemu_args_build(struct qemu_args *args, const char *program,
                    const struct machine_config *config, int qmp_fd, int console_fd, int vsock_fd);
void qemu_args_free(struct qemu_args *args);

#endif

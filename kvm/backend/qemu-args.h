/* SPDX-License-Identifier: MIT */
/* The command line that describes a machine to QEMU. */
#ifndef KVM_BACKEND_QEMU_ARGS_H
#define KVM_BACKEND_QEMU_ARGS_H

#include "kvm/machine.h"

#define QEMU_ARGS_MAX 128
/* What QMP calls it by. */
#define QEMU_BALLOON "balloon0"
/* The bus for what comes while the guest runs, and a disk's node and its device. */
#define QEMU_HOTPLUG_BUS "hotplug"
#define QEMU_DISK_NODE   "node-"
#define QEMU_DISK_DEVICE "dev-"

/* The machine that QEMU is asked for; the one there is lies in kvm/x86 or kvm/arm64. */
struct arch_qemu {
    const char *program, *package; /* Debian's */
    const char *machine;           /* value of -machine */
    const char *cpu;               /* value of -cpu */
    const char *panic_device;      /* value of -device */
    const char *button_device;     /* the same, with a key for it; NULL: the board has a button */
    const char *hotplug_bus;       /* the same; NULL: guests there cannot be told of new devices */
    const char *cmdline;           /* the launcher's kernel parameters there */
};
extern const struct arch_qemu arch_qemu;

struct qemu_ports;

struct qemu_args {
    unsigned int count;
    char *argv[QEMU_ARGS_MAX]; /* NULL-terminated, each on the heap */
};

/* The descriptors are QEMU's ends of socket pairs; those of ports are listening sockets. 0, or
   -ENOMEM. */
int qemu_args_build(struct qemu_args *args, const char *program,
                    const struct machine_config *config, int qmp_fd, int console_fd, int vsock_fd,
                    const struct qemu_ports *ports);
/*
 * A disk as blockdev-add and device_add take it. fd_set: of QEMU's sets of descriptors, the one
 * that holds the file; negative: it is opened by its path. NULL without memory.
 */
json_t *qemu_disk_node(const struct machine_disk *disk, int fd_set);
json_t *qemu_disk_device(const struct machine_disk *disk, const char *serial);
void qemu_args_free(struct qemu_args *args);

#endif

/* SPDX-License-Identifier: MIT */
/* Opens KVM, and looks whether it can do what a machine needs. */
#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>

#include "kvm/backend/arch.h"
#include "kvm/backend/kvm-machine.h"
#include "lib/base/cleanup.h"

#define KVM_DEVICE "/dev/kvm"

static int check_capabilities(int fd, const struct arch_capability *needed, struct crosh_error *err)
{
    for (; needed->name != NULL; needed++) {
        if (ioctl(fd, KVM_CHECK_EXTENSION, needed->number) <= 0)
            return crosh_error_set(err, -EOPNOTSUPP, "this host's KVM lacks %s", needed->name);
    }
    return 0;
}

int kvm_open(struct crosh_error *err)
{
    static const struct arch_capability needed[] = {
        {KVM_CAP_IRQCHIP, "an interrupt controller in the kernel"},
        {KVM_CAP_USER_MEMORY, "user memory"},
        {KVM_CAP_IRQ_ROUTING, "interrupt routing"},
        {KVM_CAP_IRQFD, "irqfd"},
        {KVM_CAP_IOEVENTFD, "ioeventfd"},
        {KVM_CAP_IOEVENTFD_ANY_LENGTH, "ioeventfd of any length"},
        {KVM_CAP_IMMEDIATE_EXIT, "immediate exit"},
        {0, NULL},
    };
    cleanup_close int fd = open(KVM_DEVICE, O_RDWR | O_CLOEXEC);

    if (fd < 0) {
        int code = crosh_error_errno(err, KVM_DEVICE);

        if (code == -EACCES || code == -EPERM)
            crosh_error_hint(err, "let your user use it: sudo usermod -aG kvm \"$USER\", then log "
                                  "in again");
        else
            crosh_error_hint(err, "enable virtualization in the firmware's set-up, then: sudo "
                                  "modprobe kvm_intel (or kvm_amd)");
        /* ENODEV, ENXIO: a node without a driver behind it. */
        if (code == -ENODEV || code == -ENXIO) {
            code = -ENOENT;
            if (err != NULL)
                err->code = code;
        }
        return code;
    }
    if (ioctl(fd, KVM_GET_API_VERSION, 0) != KVM_API_VERSION)
        return crosh_error_set(err, -EOPNOTSUPP, KVM_DEVICE " speaks another version of KVM");
    if (check_capabilities(fd, needed, err) < 0 ||
        check_capabilities(fd, arch_capabilities, err) < 0)
        return -EOPNOTSUPP;
    return move_fd(fd);
}

int kvm_probe(struct crosh_error *err)
{
    cleanup_close int kvm_fd = kvm_open(err);

    return kvm_fd < 0 ? kvm_fd : arch_probe(kvm_fd, err);
}

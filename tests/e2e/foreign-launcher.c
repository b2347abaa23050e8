/* SPDX-License-Identifier: MIT */
/* For tests: a launcher of this machine that has arm64 guests emulated, as one of an arm64 machine
 * has. */
#include <errno.h>

#include "kvm/arm64/image.h"
#include "kvm/boot-file.h"
#include "lib/base/cleanup.h"

/*
 * Of arm64 are the description of the machine to QEMU (kvm/arm64/qemu.c) and this, in the place of
 * x86's; a launcher that emulates has nothing else of a processor. So QEMU alone runs what is
 * foreign, and not the launcher, too, which no emulator of processes can.
 */
int __wrap_boot_check_kernel(const char *path, struct crosh_error *err);

int __wrap_boot_check_kernel(const char *path, struct crosh_error *err)
{
    struct arm64_image image;
    uint8_t head[ARM64_IMAGE_HEAD];
    uint64_t size;
    cleanup_close int fd = boot_open_file("kernel", path, &size, err);

    if (fd < 0)
        return fd;
    if (boot_read_at(fd, 0, head, sizeof(head)) < 0)
        return crosh_error_set(err, -ENOEXEC, "kernel %s: it is too short", path);
    return arm64_image_parse(head, sizeof(head), size, &image, err);
}

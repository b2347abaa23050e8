/* SPDX-License-Identifier: MIT */
/* Tells kernel file formats apart. */
#include "kvm/x86/kernel-image.h"

#include <elf.h>
#include <errno.h>
#include <string.h>

#include "kvm/boot-file.h"

int kernel_image_parse(const uint8_t *head, size_t head_size, uint64_t file_size,
                       struct kernel_image *image, struct crosh_error *err)
{
    memset(image, 0, sizeof(*image));
    if (head_size == 0)
        return crosh_error_set(err, -ENOEXEC, "not a Linux kernel: the file is empty");
    if (head_size >= SELFMAG && memcmp(head, ELFMAG, SELFMAG) == 0)
        return kernel_image_parse_elf(head, head_size, file_size, image, err);
    if (head_size >= 0x206 && memcmp(head + 0x202, "HdrS", 4) == 0)
        return kernel_image_parse_bzimage(head, head_size, file_size, image, err);
    return crosh_error_set(err, -ENOEXEC, "not a Linux kernel: %s",
                           boot_what_else(head, head_size, "neither a bzImage nor an ELF file"));
}

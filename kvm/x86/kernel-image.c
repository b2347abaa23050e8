/* SPDX-License-Identifier: MIT */
/* Tells kernel file formats apart. */
#include "kvm/x86/kernel-image.h"

#include <elf.h>
#include <errno.h>
#include <string.h>

/* What people give by mistake, so that the error can name it. */
static const char *what_else(const uint8_t *head, size_t size)
{
    static const struct {
        const char *magic;
        size_t size;
        const char *what;
    } known[] = {
        {"\x1f\x8b", 2, "gzip data (an initramfs, or a kernel to be unpacked first)"},
        {"\x28\xb5\x2f\xfd", 4, "zstd data"},
        {"\x02\x21\x4c\x18", 4, "lz4 data"},
        {"\xfd"
         "7zXZ",
         5, "xz data"},
        {"070701", 6, "a cpio archive (an initramfs?)"},
        {"QFI\xfb", 4, "a qcow2 disk image"},
        {"hsqs", 4, "a squashfs image"},
        {"#!", 2, "a script"},
        {"!<arch>\n", 8, "an ar archive or Debian package"},
    };

    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (size >= known[i].size && memcmp(head, known[i].magic, known[i].size) == 0)
            return known[i].what;
    }
    return "neither a bzImage nor an ELF file";
}

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
    return crosh_error_set(err, -ENOEXEC, "not a Linux kernel: %s", what_else(head, head_size));
}

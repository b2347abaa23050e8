/* SPDX-License-Identifier: MIT */
/* Reads a bzImage's setup header (Linux, Documentation/arch/x86/boot.rst). */
#include "kvm/x86/kernel-image.h"

#include <asm/bootparam.h>
#include <endian.h>
#include <errno.h>
#include <string.h>

enum {
    HEADER_OFFSET = 0x1f1,
    BOOT_FLAG = 0xaa55,
    VERSION_NEEDED = 0x20c, /* the first with xloadflags */
    ENTRY_64_OFFSET = 0x200,
    DEFAULT_SETUP_SECTORS = 4,
};

_Static_assert(sizeof(struct setup_header) <= sizeof(((struct kernel_image *)0)->setup_header),
               "the setup header must fit");

static int damaged(struct crosh_error *err, const char *what)
{
    return crosh_error_set(err, -ENOEXEC, "damaged kernel: %s", what);
}

/* Checks where the kernel wants to be and fills the one segment. */
static int place(const struct setup_header *header, uint64_t offset, uint64_t size,
                 struct kernel_image *image, struct crosh_error *err)
{
    uint64_t address = le64toh(header->pref_address);
    uint64_t init_size = le32toh(header->init_size);

    if (address % 4096 != 0 || address < KERNEL_IMAGE_LOWEST || address >= KERNEL_IMAGE_HIGHEST)
        return damaged(err, "it wants to be loaded at an impossible address");
    if (init_size < size || init_size > KERNEL_IMAGE_HIGHEST - address)
        return damaged(err, "it states an impossible memory size");
    image->segment_count = 1;
    image->segment[0] = (struct kernel_segment){
        .file_offset = offset, .file_size = size, .gpa = address, .memory_size = init_size};
    image->entry = address + ENTRY_64_OFFSET;
    image->end = address + init_size;
    return 0;
}

int kernel_image_parse_bzimage(const uint8_t *head, size_t head_size, uint64_t file_size,
                               struct kernel_image *image, struct crosh_error *err)
{
    struct setup_header header = {0};
    uint64_t setup_size, code_size;
    size_t header_size;

    if (head_size < HEADER_OFFSET + sizeof(header))
        return damaged(err, "the file ends within its header");
    memcpy(&header, head + HEADER_OFFSET, sizeof(header));
    if (le16toh(header.boot_flag) != BOOT_FLAG)
        return crosh_error_set(err, -ENOEXEC, "not a Linux kernel: no boot signature");
    if (le16toh(header.version) < VERSION_NEEDED)
        return crosh_error_set(err, -ENOEXEC,
                               "this kernel's boot protocol %u.%02u is too old: 2.12 is needed "
                               "(Linux 3.8 or newer)",
                               le16toh(header.version) >> 8, le16toh(header.version) & 0xffu);
    if ((header.loadflags & LOADED_HIGH) == 0 || (le16toh(header.xloadflags) & XLF_KERNEL_64) == 0)
        return crosh_error_set(err, -ENOEXEC, "not a 64-bit x86 Linux kernel");

    setup_size = ((header.setup_sects == 0 ? DEFAULT_SETUP_SECTORS : header.setup_sects) + 1u) *
                 UINT64_C(512);
    code_size = le32toh(header.syssize) * UINT64_C(16);
    if (code_size <= ENTRY_64_OFFSET)
        return damaged(err, "it has no code");
    if (setup_size > file_size || code_size > file_size - setup_size)
        return crosh_error_set(
            err, -ENOEXEC, "damaged kernel: the file has %llu bytes of %llu: it is truncated",
            (unsigned long long)file_size, (unsigned long long)(setup_size + code_size));
    if (place(&header, setup_size, code_size, image, err) < 0)
        return -ENOEXEC;

    /* Its length is part of the jump that precedes "HdrS"; newer headers are longer than we know.
     */
    header_size = 0x202u + head[0x201] - HEADER_OFFSET;
    if (header_size > sizeof(header))
        header_size = sizeof(header);
    memcpy(image->setup_header, &header, header_size);
    image->setup_header_size = header_size;
    image->initrd_max = le32toh(header.initrd_addr_max);
    image->cmdline_max = le32toh(header.cmdline_size);
    return 0;
}

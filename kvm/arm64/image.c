/* SPDX-License-Identifier: MIT */
/* Reads the header of arm64's kernel image. */
#include "kvm/arm64/image.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

#include "kvm/boot-file.h"

enum {
    AT_TEXT_OFFSET = 8,
    AT_IMAGE_SIZE = 16,
    AT_FLAGS = 24,
    AT_MAGIC = 56,
    FLAG_BIG_ENDIAN = 1,
    OLD_TEXT_OFFSET = 0x80000, /* of kernels before 3.17, which give no size */
};

static uint64_t get64(const uint8_t *at)
{
    uint64_t value;

    memcpy(&value, at, sizeof(value));
    return le64toh(value);
}

int arm64_image_parse(const uint8_t *head, size_t head_size, uint64_t file_size,
                      struct arm64_image *image, struct crosh_error *err)
{
    uint64_t size;

    *image = (struct arm64_image){0};
    if (head_size < ARM64_IMAGE_HEAD || memcmp(head + AT_MAGIC, "ARM\x64", 4) != 0)
        return crosh_error_set(err, -ENOEXEC, "not a Linux kernel: %s",
                               boot_what_else(head, head_size, "no arm64 image"));
    if ((get64(head + AT_FLAGS) & FLAG_BIG_ENDIAN) != 0)
        return crosh_error_set(err, -ENOEXEC, "the kernel is a big-endian one");
    size = get64(head + AT_IMAGE_SIZE);
    image->text_offset = size != 0 ? get64(head + AT_TEXT_OFFSET) : OLD_TEXT_OFFSET;
    image->memory_size = size > file_size ? size : file_size;
    if (image->memory_size > ARM64_IMAGE_MAX || image->text_offset > ARM64_IMAGE_MAX ||
        image->text_offset % sizeof(uint32_t) != 0) {
        *image = (struct arm64_image){0};
        return crosh_error_set(err, -ENOEXEC,
                               "the kernel is damaged: its header asks for too much");
    }
    return 0;
}

/* SPDX-License-Identifier: MIT */
/* What an arm64 kernel image says of itself: where it goes and how much room it needs. */
#ifndef KVM_ARM64_IMAGE_H
#define KVM_ARM64_IMAGE_H

#include <stddef.h>
#include <stdint.h>

#include <crosh/error.h>

#define ARM64_IMAGE_HEAD 64 /* bytes of its header */
/* More than any kernel. */
#define ARM64_IMAGE_MAX (UINT64_C(1) << 30)

struct arm64_image {
    uint64_t text_offset; /* from a 2 MiB boundary to where the file goes, and is entered */
    uint64_t memory_size; /* from there on, the kernel's until it reads the memory map */
};

/*
 * Reads the header (Linux' Documentation/arm64/booting.rst, "Call the kernel image").
 * head holds the first head_size bytes of a file of file_size bytes. Pure; both fields are at
 * most ARM64_IMAGE_MAX, and memory_size at least file_size. -ENOEXEC with a message that
 * begins "not a Linux kernel" or says what is wrong with it.
 */
int arm64_image_parse(const uint8_t *head, size_t head_size, uint64_t file_size,
                      struct arm64_image *image, struct crosh_error *err);

#endif

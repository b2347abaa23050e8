/* SPDX-License-Identifier: MIT */
/* What a kernel file says of itself: where its parts go and where it is entered. */
#ifndef KVM_X86_KERNEL_IMAGE_H
#define KVM_X86_KERNEL_IMAGE_H

#include <stddef.h>
#include <stdint.h>

#include <crosh/error.h>

#define KERNEL_IMAGE_MAX_SEGMENTS 16
/* How much of the file's beginning the parsers look at. */
#define KERNEL_IMAGE_HEAD 65536

/* Where segments may lie in guest physical memory. */
#define KERNEL_IMAGE_LOWEST  UINT64_C(0x100000)
#define KERNEL_IMAGE_HIGHEST UINT64_C(0xc0000000)

struct kernel_segment {
    uint64_t file_offset, file_size; /* inside the file */
    uint64_t gpa, memory_size;       /* file_size <= memory_size; the rest is zero */
};

struct kernel_image {
    unsigned int segment_count;
    struct kernel_segment segment[KERNEL_IMAGE_MAX_SEGMENTS];
    uint64_t entry;      /* 64-bit entry point (guest physical) */
    uint64_t end;        /* first address behind all that the kernel uses before it reads the map */
    uint64_t initrd_max; /* the initrd's last byte may lie here at most */
    uint32_t cmdline_max; /* longest command line without its terminator */
    /* The setup header as the file has it, for boot_params; 0 bytes for an ELF. */
    uint8_t setup_header[128];
    size_t setup_header_size;
};

/*
 * Reads the headers. head holds the first head_size bytes of a file of file_size
 * bytes (head_size is the smaller of file_size and KERNEL_IMAGE_HEAD). Pure; everything
 * in *image is within the bounds named above whatever the bytes are. -ENOEXEC with a message
 * that begins "not a Linux kernel" or says how it is damaged.
 */
int kernel_image_parse(const uint8_t *head, size_t head_size, uint64_t file_size,
                       struct kernel_image *image, struct crosh_error *err);

/* The two formats, each given a file that bears its signature. */
int kernel_image_parse_bzimage(const uint8_t *head, size_t head_size, uint64_t file_size,
                               struct kernel_image *image, struct crosh_error *err);
int kernel_image_parse_elf(const uint8_t *head, size_t head_size, uint64_t file_size,
                           struct kernel_image *image, struct crosh_error *err);

#endif

/* SPDX-License-Identifier: MIT */
/* Reads Linux kernel images of x86 and arm64: what is compressed in them, and what that is. */
#ifndef GUEST_IMAGE_BZIMAGE_H
#define GUEST_IMAGE_BZIMAGE_H

#include <stddef.h>
#include <stdint.h>

#include <crosh/error.h>

/* More than any kernel: the bounds that keep a hostile image from filling memory. */
#define BZIMAGE_MAX_FILE (256u << 20)
#define BZIMAGE_MAX_ELF  (512u << 20)

enum bzimage_format {
    BZIMAGE_GZIP,
    BZIMAGE_XZ,
    BZIMAGE_LZMA,
    BZIMAGE_ZSTD,
    BZIMAGE_LZ4,
    BZIMAGE_PLAIN, /* not compressed */
};

/* The kernel inside an image; data points into the image. */
struct bzimage_payload {
    enum bzimage_format format;
    const uint8_t *data;
    size_t size;
    size_t unpacked_size; /* as the image claims; bounded */
};

/*
 * Finds the payload: of x86's bzImage, of arm64's Image (that is itself), of an Image
 * that was compressed by gzip or is in an EFI program that unpacks it (zboot).
 * -ENOEXEC: none of these, or a damaged one; -EOPNOTSUPP: a bzImage that is too old to
 * say where its payload is, or one compressed in a way unknown here.
 */
int bzimage_find_payload(const void *image, size_t size, struct bzimage_payload *payload,
                         struct crosh_error *err);

/* Unpacks the payload into fresh memory, which the caller frees. */
int bzimage_unpack(const struct bzimage_payload *payload, uint8_t **elf, size_t *elf_size,
                   struct crosh_error *err);

/*
 * Checks that this is what the launcher boots: a whole x86-64 ELF kernel, its segments
 * inside it, or an arm64 Image.
 */
int bzimage_check_kernel(const void *kernel, size_t size, struct crosh_error *err);

/*
 * Shortens the segments of an ELF kernel that passed the check by the zeros at their
 * ends, which they keep in memory: a quarter of what a kernel unpacks to is its .bss,
 * and need not be read at each start. The file keeps its size.
 */
void bzimage_trim_segments(void *kernel, size_t size);

/*
 * The kernel's release ("6.1.0-56-cloud-amd64") of a bzImage or of what passes
 * bzimage_check_kernel(), as a string of plain characters that is safe in a path.
 */
int bzimage_release(const void *image, size_t size, char *release, size_t room,
                    struct crosh_error *err);

#endif

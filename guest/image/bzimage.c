/* SPDX-License-Identifier: MIT */
/* Finds what is inside a kernel image: the payload, segments of an ELF, the release. */
#include "guest/image/bzimage.h"

#include <elf.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>

/* Offsets in the setup header, from Linux' Documentation/x86/boot.rst. */
#define SETUP_SECTS      0x1f1
#define BOOT_FLAG        0x1fe
#define HEADER_MAGIC     0x202
#define PROTOCOL_VERSION 0x206
#define KERNEL_VERSION   0x20e
#define PAYLOAD_OFFSET   0x248
#define PAYLOAD_LENGTH   0x24c
#define HEADER_END       0x250

#define SECTOR           512u
#define PAYLOAD_PROTOCOL 0x208 /* the first with payload_offset */

/* arm64's Image, from Documentation/arm64/booting.rst; and what drivers/firmware/efi/libstub's
   zboot-header.S puts around a compressed one. */
#define IMAGE_MAGIC   56
#define IMAGE_HEADER  64
#define ZBOOT_MAGIC   4
#define ZBOOT_OFFSET  8
#define ZBOOT_LENGTH  12
#define ZBOOT_HEADER  64
#define GZIP_SMALLEST 18

static uint16_t read_le16(const uint8_t *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}

static uint32_t read_le32(const uint8_t *p)
{
    return read_le16(p) | (uint32_t)read_le16(p + 2) << 16;
}

static bool is_bzimage(const uint8_t *image, size_t size)
{
    return size >= HEADER_END && read_le16(image + BOOT_FLAG) == 0xaa55 &&
           memcmp(image + HEADER_MAGIC, "HdrS", 4) == 0;
}

static bool is_elf(const void *image, size_t size)
{
    return size >= sizeof(Elf64_Ehdr) && memcmp(image, ELFMAG, SELFMAG) == 0;
}

static bool is_arm64_image(const uint8_t *image, size_t size)
{
    return size >= IMAGE_HEADER && memcmp(image + IMAGE_MAGIC, "ARM\x64", 4) == 0;
}

static bool is_zboot(const uint8_t *image, size_t size)
{
    return size >= ZBOOT_HEADER && memcmp(image, "MZ", 2) == 0 &&
           memcmp(image + ZBOOT_MAGIC, "zimg", 4) == 0;
}

static int detect_format(const uint8_t *data, size_t size, enum bzimage_format *format,
                         struct crosh_error *err)
{
    static const struct {
        enum bzimage_format format;
        const char *magic;
        size_t length;
    } known[] = {
        {BZIMAGE_GZIP, "\x1f\x8b", 2},
        {BZIMAGE_XZ,
         "\xfd"
         "7zXZ\0",
         6},
        {BZIMAGE_LZMA, "\x5d\0\0", 3},
        {BZIMAGE_ZSTD, "\x28\xb5\x2f\xfd", 4},
        {BZIMAGE_LZ4, "\x02\x21\x4c\x18", 4},
        {BZIMAGE_PLAIN, ELFMAG, SELFMAG},
    };

    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (size >= known[i].length && memcmp(data, known[i].magic, known[i].length) == 0) {
            *format = known[i].format;
            return 0;
        }
    }
    crosh_error_set(err, -EOPNOTSUPP, "the kernel in it is compressed in an unknown way");
    return crosh_error_hint(err, "gzip, xz, lzma, zstd and lz4 are known; bzip2 and lzo are not");
}

/*
 * Fills payload by its place in the image, length bytes at start. The last four of them are
 * the size of the kernel unpacked: gzip has them as its trailer, for the others the kernel's
 * build appends them.
 */
static int describe_payload(const uint8_t *image, size_t size, size_t start, size_t length,
                            struct bzimage_payload *payload, struct crosh_error *err)
{
    if (start > size || length > size - start)
        return crosh_error_set(err, -ENOEXEC,
                               "truncated kernel image: the kernel in it ends at byte %zu, the "
                               "file at %zu",
                               start + length, size);
    if (length < 8)
        return crosh_error_set(err, -ENOEXEC, "damaged kernel image: it holds no kernel");
    payload->data = image + start;
    if (detect_format(payload->data, length, &payload->format, err) < 0)
        return err != NULL ? err->code : -EOPNOTSUPP;
    if (payload->format == BZIMAGE_PLAIN) {
        payload->size = length;
        payload->unpacked_size = length;
        return 0;
    }
    payload->size = payload->format == BZIMAGE_GZIP ? length : length - 4;
    payload->unpacked_size = read_le32(payload->data + length - 4);
    if (payload->unpacked_size > BZIMAGE_MAX_ELF)
        return crosh_error_set(err, -ENOEXEC,
                               "damaged kernel image: claims a kernel of %zu MiB, more than %u",
                               payload->unpacked_size >> 20, BZIMAGE_MAX_ELF >> 20);
    return 0;
}

static int find_in_bzimage(const uint8_t *bytes, size_t size, struct bzimage_payload *payload,
                           struct crosh_error *err)
{
    size_t setup_sectors = bytes[SETUP_SECTS] != 0 ? bytes[SETUP_SECTS] : 4;

    if (read_le16(bytes + PROTOCOL_VERSION) < PAYLOAD_PROTOCOL)
        return crosh_error_set(err, -EOPNOTSUPP,
                               "boot protocol %u.%02u does not say where the kernel is",
                               bytes[PROTOCOL_VERSION + 1], bytes[PROTOCOL_VERSION]);
    /* 32-bit fields in 64-bit arithmetic: no sum wraps. */
    return describe_payload(bytes, size,
                            (setup_sectors + 1) * SECTOR + read_le32(bytes + PAYLOAD_OFFSET),
                            read_le32(bytes + PAYLOAD_LENGTH), payload, err);
}

static int find_in_zboot(const uint8_t *bytes, size_t size, struct bzimage_payload *payload,
                         struct crosh_error *err)
{
    size_t start = read_le32(bytes + ZBOOT_OFFSET), length = read_le32(bytes + ZBOOT_LENGTH);

    /* The appended size is not counted here. */
    if (start < size && size - start >= 2 && memcmp(bytes + start, "\x1f\x8b", 2) != 0)
        length += 4;
    return describe_payload(bytes, size, start, length, payload, err);
}

int bzimage_find_payload(const void *image, size_t size, struct bzimage_payload *payload,
                         struct crosh_error *err)
{
    const uint8_t *bytes = image;

    if (is_bzimage(bytes, size))
        return find_in_bzimage(bytes, size, payload, err);
    if (is_zboot(bytes, size))
        return find_in_zboot(bytes, size, payload, err);
    if (is_arm64_image(bytes, size)) {
        *payload = (struct bzimage_payload){
            .format = BZIMAGE_PLAIN, .data = bytes, .size = size, .unpacked_size = size};
        return 0;
    }
    if (size >= GZIP_SMALLEST && memcmp(bytes, "\x1f\x8b", 2) == 0)
        return describe_payload(bytes, size, 0, size, payload, err);
    return crosh_error_set(err, -ENOEXEC,
                           "not a Linux kernel image (x86's bzImage, arm64's Image)");
}

int bzimage_check_kernel(const void *kernel, size_t size, struct crosh_error *err)
{
    const void *elf = kernel;
    Elf64_Ehdr header;
    bool loads = false;

    if (is_arm64_image(kernel, size))
        return 0;
    if (!is_elf(elf, size))
        return crosh_error_set(err, -ENOEXEC, "neither an ELF kernel nor an arm64 Image");
    memcpy(&header, elf, sizeof(header));
    if (header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_ident[EI_DATA] != ELFDATA2LSB ||
        header.e_machine != EM_X86_64)
        return crosh_error_set(err, -ENOEXEC, "the kernel is not for x86-64");
    if (header.e_phentsize != sizeof(Elf64_Phdr) || header.e_phoff > size ||
        header.e_phnum > (size - header.e_phoff) / sizeof(Elf64_Phdr))
        return crosh_error_set(err, -ENOEXEC, "damaged kernel: segment table outside the file");
    for (size_t i = 0; i < header.e_phnum; i++) {
        Elf64_Phdr segment;

        memcpy(&segment, (const uint8_t *)elf + header.e_phoff + i * sizeof(segment),
               sizeof(segment));
        if (segment.p_type != PT_LOAD)
            continue;
        if (segment.p_offset > size || segment.p_filesz > size - segment.p_offset)
            return crosh_error_set(err, -ENOEXEC, "damaged kernel: segment %zu outside the file",
                                   i);
        loads = true;
    }
    if (!loads)
        return crosh_error_set(err, -ENOEXEC, "damaged kernel: nothing to load");
    return 0;
}

void bzimage_trim_segments(void *kernel, size_t size)
{
    uint8_t *bytes = kernel;
    Elf64_Ehdr header;

    if (!is_elf(kernel, size))
        return;
    memcpy(&header, bytes, sizeof(header));
    for (size_t i = 0; i < header.e_phnum; i++) {
        uint8_t *at = bytes + header.e_phoff + i * sizeof(Elf64_Phdr);
        Elf64_Phdr segment;

        memcpy(&segment, at, sizeof(segment));
        if (segment.p_type != PT_LOAD)
            continue;
        while (segment.p_filesz > 0 && bytes[segment.p_offset + segment.p_filesz - 1] == 0)
            segment.p_filesz--;
        memcpy(at, &segment, sizeof(segment));
    }
}

static bool is_release_char(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '.' ||
           c == '-' || c == '_' || c == '+' || c == '~';
}

/* Takes the word at the front of text; a release begins with a digit, so it is never "..". */
static int copy_release(const char *text, size_t limit, char *release, size_t room,
                        struct crosh_error *err)
{
    size_t length = 0;

    while (length < limit && is_release_char(text[length]))
        length++;
    if (length == 0 || text[0] < '0' || text[0] > '9')
        return crosh_error_set(err, -ENOEXEC, "the kernel does not tell its release");
    if (length >= room)
        return crosh_error_set(err, -ENOEXEC, "the kernel's release is absurdly long");
    memcpy(release, text, length);
    release[length] = '\0';
    return 0;
}

int bzimage_release(const void *image, size_t size, char *release, size_t room,
                    struct crosh_error *err)
{
    static const char banner[] = "Linux version ";
    const uint8_t *bytes = image;

    if (is_bzimage(bytes, size)) {
        size_t at = (size_t)read_le16(bytes + KERNEL_VERSION) + SECTOR;

        if (at == SECTOR || at >= size)
            return crosh_error_set(err, -ENOEXEC, "the kernel does not tell its release");
        return copy_release((const char *)bytes + at, size - at, release, room, err);
    }
    if (is_elf(image, size) || is_arm64_image(bytes, size)) {
        const uint8_t *at = bytes;

        /* The banner stands in more than one place, once as a format ("Linux version %s"). */
        while ((at = memmem(at, size - (size_t)(at - bytes), banner, sizeof(banner) - 1)) != NULL) {
            at += sizeof(banner) - 1;
            if (copy_release((const char *)at, size - (size_t)(at - bytes), release, room, err) ==
                0)
                return 0;
        }
        return crosh_error_set(err, -ENOEXEC, "the kernel does not tell its release");
    }
    return crosh_error_set(err, -ENOEXEC, "neither a bzImage nor an ELF kernel nor an arm64 Image");
}

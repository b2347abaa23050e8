/* SPDX-License-Identifier: MIT */
/* Finds what is inside a kernel image: the payload of a bzImage, segments of an ELF, the release.
 */
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

int bzimage_find_payload(const void *image, size_t size, struct bzimage_payload *payload,
                         struct crosh_error *err)
{
    const uint8_t *bytes = image;
    size_t start, length;
    size_t setup_sectors;

    if (!is_bzimage(bytes, size))
        return crosh_error_set(err, -ENOEXEC, "not a Linux/x86 kernel image (bzImage)");
    if (read_le16(bytes + PROTOCOL_VERSION) < PAYLOAD_PROTOCOL)
        return crosh_error_set(err, -EOPNOTSUPP,
                               "boot protocol %u.%02u does not say where the kernel is",
                               bytes[PROTOCOL_VERSION + 1], bytes[PROTOCOL_VERSION]);
    setup_sectors = bytes[SETUP_SECTS] != 0 ? bytes[SETUP_SECTS] : 4;
    /* 32-bit fields in 64-bit arithmetic: no sum wraps. */
    start = (setup_sectors + 1) * SECTOR + read_le32(bytes + PAYLOAD_OFFSET);
    length = read_le32(bytes + PAYLOAD_LENGTH);
    if (start > size || length > size - start)
        return crosh_error_set(err, -ENOEXEC,
                               "truncated kernel image: the kernel in it ends at byte %zu, the "
                               "file at %zu",
                               start + length, size);
    if (length < 8)
        return crosh_error_set(err, -ENOEXEC, "damaged kernel image: it holds no kernel");
    payload->data = bytes + start;
    if (detect_format(payload->data, length, &payload->format, err) < 0)
        return err != NULL ? err->code : -EOPNOTSUPP;
    if (payload->format == BZIMAGE_PLAIN) {
        payload->size = length;
        payload->unpacked_size = length;
        return 0;
    }
    /*
     * The last four bytes are the size of the kernel unpacked: gzip has them as
     * its trailer, for the others the kernel's build appends them.
     */
    payload->size = payload->format == BZIMAGE_GZIP ? length : length - 4;
    payload->unpacked_size = read_le32(payload->data + length - 4);
    if (payload->unpacked_size > BZIMAGE_MAX_ELF)
        return crosh_error_set(err, -ENOEXEC,
                               "damaged kernel image: claims a kernel of %zu MiB, more than %u",
                               payload->unpacked_size >> 20, BZIMAGE_MAX_ELF >> 20);
    return 0;
}

int bzimage_check_elf(const void *elf, size_t size, struct crosh_error *err)
{
    Elf64_Ehdr header;
    bool loads = false;

    if (!is_elf(elf, size))
        return crosh_error_set(err, -ENOEXEC, "not an ELF kernel");
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
    if (is_elf(image, size)) {
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
    return crosh_error_set(err, -ENOEXEC, "neither a bzImage nor an ELF kernel");
}

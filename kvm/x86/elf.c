/* SPDX-License-Identifier: MIT */
/* Reads an uncompressed kernel's ELF headers (vmlinux). */
#include "kvm/x86/kernel-image.h"

#include <elf.h>
#include <endian.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>

enum {
    /* Limits that an ELF cannot state; those of every 64-bit x86 kernel. */
    INITRD_MAX = 0x7fffffff,
    CMDLINE_MAX = 2047,
    MAX_PROGRAM_HEADERS = 64,
};

static int damaged(struct crosh_error *err, const char *what)
{
    return crosh_error_set(err, -ENOEXEC, "damaged kernel: %s", what);
}

static int not_a_kernel(struct crosh_error *err)
{
    return crosh_error_set(err, -ENOEXEC,
                           "not a Linux kernel: an ELF file, but a program, library or object");
}

static int check_header(const Elf64_Ehdr *header, size_t head_size, struct crosh_error *err)
{
    uint64_t table = le64toh(header->e_phoff);
    uint64_t count = le16toh(header->e_phnum);

    if (header->e_ident[EI_CLASS] != ELFCLASS64 || header->e_ident[EI_DATA] != ELFDATA2LSB ||
        le16toh(header->e_machine) != EM_X86_64)
        return crosh_error_set(err, -ENOEXEC, "not a 64-bit x86 Linux kernel");
    if (le16toh(header->e_type) != ET_EXEC)
        return not_a_kernel(err);
    if (le16toh(header->e_phentsize) != sizeof(Elf64_Phdr) || count == 0 ||
        count > MAX_PROGRAM_HEADERS)
        return damaged(err, "its program headers make no sense");
    if (table > head_size || count * sizeof(Elf64_Phdr) > head_size - table)
        return damaged(err, "the file ends before its program headers");
    return 0;
}

/* Adds one PT_LOAD segment. */
static int add_segment(const Elf64_Phdr *phdr, uint64_t file_size, struct kernel_image *image,
                       struct crosh_error *err)
{
    struct kernel_segment segment = {
        .file_offset = le64toh(phdr->p_offset),
        .file_size = le64toh(phdr->p_filesz),
        .gpa = le64toh(phdr->p_paddr),
        .memory_size = le64toh(phdr->p_memsz),
    };

    if (segment.memory_size == 0)
        return 0;
    if (segment.file_size > segment.memory_size)
        return damaged(err, "a segment is larger in the file than in memory");
    if (segment.file_offset > file_size || segment.file_size > file_size - segment.file_offset)
        return damaged(err, "a segment lies beyond the file's end: it is truncated");
    if (segment.gpa < KERNEL_IMAGE_LOWEST || segment.gpa >= KERNEL_IMAGE_HIGHEST ||
        segment.memory_size > KERNEL_IMAGE_HIGHEST - segment.gpa)
        return damaged(err, "a segment wants to be loaded at an impossible address");
    if (image->segment_count == KERNEL_IMAGE_MAX_SEGMENTS)
        return damaged(err, "it has too many segments");
    image->segment[image->segment_count++] = segment;
    if (segment.gpa + segment.memory_size > image->end)
        image->end = segment.gpa + segment.memory_size;
    return 0;
}

/* Static programs can look like kernels but for what only a program's loader needs. */
static bool is_of_a_program(const Elf64_Phdr *phdr)
{
    switch (le32toh(phdr->p_type)) {
    case PT_INTERP:
    case PT_DYNAMIC:
    case PT_TLS:
    case PT_GNU_STACK:
    case PT_GNU_RELRO:
        return true;
    default:
        return false;
    }
}

static bool is_entry_loaded(const struct kernel_image *image)
{
    for (unsigned int i = 0; i < image->segment_count; i++) {
        const struct kernel_segment *segment = &image->segment[i];

        if (image->entry >= segment->gpa && image->entry - segment->gpa < segment->file_size)
            return true;
    }
    return false;
}

int kernel_image_parse_elf(const uint8_t *head, size_t head_size, uint64_t file_size,
                           struct kernel_image *image, struct crosh_error *err)
{
    Elf64_Ehdr header;

    if (head_size < sizeof(header))
        return damaged(err, "the file ends within its header");
    memcpy(&header, head, sizeof(header));
    if (check_header(&header, head_size, err) < 0)
        return -ENOEXEC;
    for (unsigned int i = 0; i < le16toh(header.e_phnum); i++) {
        Elf64_Phdr phdr;

        memcpy(&phdr, head + le64toh(header.e_phoff) + i * sizeof(phdr), sizeof(phdr));
        if (is_of_a_program(&phdr))
            return not_a_kernel(err);
        if (le32toh(phdr.p_type) == PT_LOAD && add_segment(&phdr, file_size, image, err) < 0)
            return -ENOEXEC;
    }
    /* A kernel's entry is a physical address; a program's would be a virtual one. */
    image->entry = le64toh(header.e_entry);
    if (image->segment_count == 0 || !is_entry_loaded(image))
        return crosh_error_set(err, -ENOEXEC,
                               "not a Linux kernel: an ELF file that is not entered at a physical "
                               "address of its own");
    image->initrd_max = INITRD_MAX;
    image->cmdline_max = CMDLINE_MAX;
    return 0;
}

/* SPDX-License-Identifier: MIT */
/* A small, bounded reader of ELF notes (ELF gABI, "Program Header" and "Note Section"). */
#include "crosh/loader/elf-note.h"

#include <elf.h>
#include <errno.h>
#include <link.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <crosh/module.h>

#include "lib/base/cleanup.h"

/* Real modules have about ten program headers and some 100 bytes of notes. */
#define PROGRAM_HEADERS_MAX 256
#define NOTES_SIZE_MAX      65536

#if __ELF_NATIVE_CLASS == 64
#define NATIVE_CLASS ELFCLASS64
#else
#define NATIVE_CLASS ELFCLASS32
#endif
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define NATIVE_DATA ELFDATA2LSB
#else
#define NATIVE_DATA ELFDATA2MSB
#endif

/* Reads exactly size bytes at offset; -ENODATA when the file is too short. */
static int read_at(int fd, void *buf, size_t size, uint64_t offset, struct crosh_error *err)
{
    unsigned char *p = buf;

    if (offset > INT64_MAX - size)
        return crosh_error_set(err, -ENODATA, "the file is truncated");
    while (size > 0) {
        ssize_t n = pread(fd, p, size, (off_t)offset);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return crosh_error_errno(err, "cannot read the file");
        if (n == 0)
            return crosh_error_set(err, -ENODATA, "the file is truncated");
        p += n;
        offset += (uint64_t)n;
        size -= (size_t)n;
    }
    return 0;
}

/* The machine that this program itself is built for. */
static uint16_t native_machine(void)
{
    extern const ElfW(Ehdr) __ehdr_start __attribute__((visibility("hidden")));

    return __ehdr_start.e_machine;
}

static int check_header(const ElfW(Ehdr) * header, struct crosh_error *err)
{
    if (header->e_ident[EI_CLASS] != NATIVE_CLASS || header->e_ident[EI_DATA] != NATIVE_DATA ||
        header->e_machine != native_machine())
        return crosh_error_set(err, -ENOEXEC, "it is built for another machine");
    if (header->e_type != ET_DYN)
        return crosh_error_set(err, -ENOEXEC, "it is an ELF file, but no shared object");
    if (header->e_phentsize != sizeof(ElfW(Phdr)) || header->e_phnum == 0 ||
        header->e_phnum > PROGRAM_HEADERS_MAX)
        return crosh_error_set(err, -ENOEXEC, "its program headers are malformed");
    return 0;
}

static uint64_t align_up(uint64_t value, uint64_t align)
{
    return (value + align - 1) / align * align;
}

/*
 * Looks for the crosh note among the notes in buf. 1: found, 0: not here.
 * Every offset is checked against size in 64 bits before it is used.
 */
static int find_note(const unsigned char *buf, uint64_t size, uint64_t align, uint32_t *api_version,
                     struct crosh_error *err)
{
    uint64_t at = 0;

    while (size - at >= sizeof(ElfW(Nhdr))) {
        ElfW(Nhdr) note;
        uint64_t name_at, desc_at, end;

        memcpy(&note, buf + at, sizeof(note));
        name_at = at + sizeof(note);
        desc_at = align_up(name_at + note.n_namesz, align);
        end = desc_at + note.n_descsz;
        if (end > size)
            return crosh_error_set(err, -ENOEXEC, "its ELF notes are malformed");
        if (note.n_type == CROSH_NOTE_TYPE && note.n_namesz == sizeof(CROSH_NOTE_NAME) &&
            memcmp(buf + name_at, CROSH_NOTE_NAME, sizeof(CROSH_NOTE_NAME)) == 0) {
            if (note.n_descsz != sizeof(*api_version))
                return crosh_error_set(err, -ENOEXEC, "its crosh note is malformed");
            memcpy(api_version, buf + desc_at, sizeof(*api_version));
            return 1;
        }
        at = align_up(end, align);
        if (at > size)
            break;
    }
    return 0;
}

static int read_segment(int fd, const ElfW(Phdr) * segment, uint32_t *api_version,
                        struct crosh_error *err)
{
    cleanup_free unsigned char *buf = NULL;
    int r;

    if (segment->p_filesz > NOTES_SIZE_MAX)
        return crosh_error_set(err, -ENOEXEC, "its ELF notes are malformed");
    if (segment->p_filesz == 0)
        return 0;
    buf = malloc(segment->p_filesz);
    if (buf == NULL)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    r = read_at(fd, buf, segment->p_filesz, segment->p_offset, err);
    if (r < 0)
        return r;
    /* Notes are 4-aligned, except in segments that say 8 (.note.gnu.property). */
    return find_note(buf, segment->p_filesz, segment->p_align == 8 ? 8 : 4, api_version, err);
}

int elf_note_read(int fd, uint32_t *api_version, struct crosh_error *err)
{
    ElfW(Ehdr) header;
    int r = read_at(fd, &header, sizeof(header), 0, err);

    if (r == -ENODATA || (r == 0 && memcmp(header.e_ident, ELFMAG, SELFMAG) != 0))
        return crosh_error_set(err, -ENOEXEC, "it is not an ELF file");
    if (r < 0)
        return r;
    r = check_header(&header, err);
    if (r < 0)
        return r;
    for (unsigned int i = 0; i < header.e_phnum; i++) {
        ElfW(Phdr) segment;

        r = read_at(fd, &segment, sizeof(segment),
                    (uint64_t)header.e_phoff + (uint64_t)i * sizeof(segment), err);
        if (r < 0)
            return r;
        if (segment.p_type != PT_NOTE)
            continue;
        r = read_segment(fd, &segment, api_version, err);
        if (r != 0)
            return r < 0 ? r : 0;
    }
    return crosh_error_set(err, -ENOEXEC, "it has no crosh note: it is no crosh module");
}

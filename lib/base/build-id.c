/* SPDX-License-Identifier: MIT */
/* Reads build ids (ELF gABI, "Program Header" and "Note Section"). */
#include "lib/base/build-id.h"

#include <elf.h>
#include <errno.h>
#include <link.h>
#include <string.h>
#include <unistd.h>

/* Real programs have about ten program headers and some 100 bytes of notes. */
#define PROGRAM_HEADERS_MAX 64
#define NOTES_MAX           4096

static size_t align_up(size_t value, size_t align)
{
    return (value + align - 1) / align * align;
}

int build_id_find(struct build_id *id, const void *notes, size_t size, size_t align)
{
    const uint8_t *bytes = notes;
    size_t at = 0;

    /* Notes are 4-aligned, except in segments that say 8 (.note.gnu.property). */
    if (align != 8)
        align = 4;
    while (size - at >= sizeof(ElfW(Nhdr))) {
        ElfW(Nhdr) note;
        size_t name_at = at + sizeof(note);
        size_t data_at;

        memcpy(&note, bytes + at, sizeof(note));
        if (note.n_namesz > size || note.n_descsz > size)
            return 0;
        data_at = align_up(name_at + note.n_namesz, align);
        if (data_at > size || note.n_descsz > size - data_at)
            return 0;
        if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == sizeof(ELF_NOTE_GNU) &&
            memcmp(bytes + name_at, ELF_NOTE_GNU, sizeof(ELF_NOTE_GNU)) == 0 && note.n_descsz > 0 &&
            note.n_descsz <= BUILD_ID_MAX) {
            memcpy(id->bytes, bytes + data_at, note.n_descsz);
            id->size = note.n_descsz;
            return 1;
        }
        at = align_up(data_at + note.n_descsz, align);
        if (at > size)
            return 0;
    }
    return 0;
}

/* The machine that this program itself is built for. */
static ElfW(Half) native_machine(void)
{
    extern const ElfW(Ehdr) __ehdr_start __attribute__((visibility("hidden")));

    return __ehdr_start.e_machine;
}

static int read_at(int fd, void *data, size_t size, uint64_t offset)
{
    ssize_t n;

    if (offset > INT64_MAX - size)
        return -ENOEXEC;
    do {
        n = pread(fd, data, size, (off_t)offset);
    } while (n < 0 && errno == EINTR);
    if (n < 0)
        return -errno;
    return (size_t)n == size ? 0 : -ENOEXEC;
}

int build_id_of_file(struct build_id *id, int fd)
{
    ElfW(Ehdr) header;
    int r = read_at(fd, &header, sizeof(header), 0);

    id->size = 0;
    if (r < 0)
        return r;
    if (memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 || header.e_machine != native_machine() ||
        header.e_phentsize != sizeof(ElfW(Phdr)) || header.e_phnum > PROGRAM_HEADERS_MAX)
        return -ENOEXEC;
    for (size_t i = 0; i < header.e_phnum; i++) {
        uint8_t notes[NOTES_MAX];
        ElfW(Phdr) segment;

        r = read_at(fd, &segment, sizeof(segment), header.e_phoff + i * sizeof(segment));
        if (r < 0)
            return r;
        if (segment.p_type != PT_NOTE || segment.p_filesz > sizeof(notes))
            continue;
        r = read_at(fd, notes, segment.p_filesz, segment.p_offset);
        if (r < 0)
            return r;
        if (build_id_find(id, notes, segment.p_filesz, segment.p_align) == 1)
            return 0;
    }
    return -ENOEXEC;
}

/* The first object is the program itself. */
static int visit(struct dl_phdr_info *info, size_t size, void *data)
{
    (void)size;
    for (size_t i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &info->dlpi_phdr[i];

        if (segment->p_type == PT_NOTE &&
            build_id_find(data, (const void *)(info->dlpi_addr + segment->p_vaddr),
                          segment->p_memsz, segment->p_align) == 1)
            break;
    }
    return 1;
}

void build_id_own(struct build_id *id)
{
    id->size = 0;
    (void)dl_iterate_phdr(visit, id);
}

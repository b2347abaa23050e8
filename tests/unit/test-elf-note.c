/* SPDX-License-Identifier: MIT */
/* Tests the reader of ELF notes with sound, truncated and hostile files. */
#include <elf.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "crosh/loader/elf-note.h"
#include "tests/unit/cmocka-prelude.h"

struct note {
    Elf64_Nhdr header;
    char name[8];
    uint32_t version;
};

/* A shared object of which only what the reader looks at is there. */
struct image {
    Elf64_Ehdr header;
    Elf64_Phdr segments[2];
    struct note other;
    struct note note;
};

static struct image sound_image(void)
{
    struct image image = {
        .header = {.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB},
                   .e_type = ET_DYN,
                   .e_machine = EM_X86_64,
                   .e_phoff = offsetof(struct image, segments),
                   .e_phentsize = sizeof(Elf64_Phdr),
                   .e_phnum = 2},
        .segments = {{.p_type = PT_LOAD},
                     {.p_type = PT_NOTE,
                      .p_offset = offsetof(struct image, other),
                      .p_filesz = 2 * sizeof(struct note),
                      .p_align = 4}},
        .other = {.header = {.n_namesz = 6, .n_descsz = 4, .n_type = 9}, .name = "other"},
        .note = {.header = {.n_namesz = 6, .n_descsz = 4, .n_type = 1},
                 .name = "crosh",
                 .version = 3},
    };

    return image;
}

static int read_bytes(const void *bytes, size_t size, uint32_t *version, struct crosh_error *err)
{
    int fd = memfd_create("image", MFD_CLOEXEC);
    int r;

    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, size), size);
    r = elf_note_read(fd, version, err);
    (void)close(fd);
    return r;
}

static void assert_refused(const struct image *image, const char *message)
{
    struct crosh_error err = {0};
    uint32_t version = 77;

    assert_int_equal(read_bytes(image, sizeof(*image), &version, &err), -ENOEXEC);
    assert_string_equal(err.message, message);
    assert_int_equal(version, 77);
}

static void test_sound(void **state)
{
    struct image image = sound_image();
    uint32_t version = 0;

    (void)state;
    assert_int_equal(read_bytes(&image, sizeof(image), &version, NULL), 0);
    assert_int_equal(version, 3);
}

static void test_not_elf(void **state)
{
    struct image image = sound_image();
    struct crosh_error err = {0};
    uint32_t version;

    (void)state;
    assert_int_equal(read_bytes("", 0, &version, &err), -ENOEXEC);
    assert_string_equal(err.message, "it is not an ELF file");
    assert_int_equal(read_bytes("#!/bin/sh\n", 10, &version, &err), -ENOEXEC);
    assert_string_equal(err.message, "it is not an ELF file");
    image.header.e_ident[1] = 'X';
    assert_refused(&image, "it is not an ELF file");
}

static void test_other_elf(void **state)
{
    struct image image = sound_image();

    (void)state;
    image.header.e_machine = EM_AARCH64;
    assert_refused(&image, "it is built for another machine");
    image = sound_image();
    image.header.e_ident[EI_CLASS] = ELFCLASS32;
    assert_refused(&image, "it is built for another machine");
    image = sound_image();
    image.header.e_type = ET_EXEC;
    assert_refused(&image, "it is an ELF file, but no shared object");
}

static void test_headers(void **state)
{
    struct image image = sound_image();

    (void)state;
    image.header.e_phnum = 0xffff;
    assert_refused(&image, "its program headers are malformed");
    image = sound_image();
    image.header.e_phentsize = 8;
    assert_refused(&image, "its program headers are malformed");
    image = sound_image();
    image.header.e_phnum = 1;
    assert_refused(&image, "it has no crosh note: it is no crosh module");
}

static void assert_truncated(const struct image *image)
{
    struct crosh_error err = {0};
    uint32_t version;

    assert_int_equal(read_bytes(image, sizeof(*image), &version, &err), -ENODATA);
    assert_string_equal(err.message, "the file is truncated");
}

static void test_offsets(void **state)
{
    struct image image = sound_image();

    (void)state;
    image.header.e_phoff = UINT64_MAX - 16;
    assert_truncated(&image);
    image = sound_image();
    image.header.e_phoff = sizeof(image);
    assert_truncated(&image);
    image = sound_image();
    image.segments[1].p_offset = UINT64_MAX;
    assert_truncated(&image);
    image = sound_image();
    image.segments[1].p_filesz = 4096;
    assert_truncated(&image);
    image = sound_image();
    image.segments[1].p_filesz = UINT64_MAX;
    assert_refused(&image, "its ELF notes are malformed");
}

static void test_notes(void **state)
{
    struct image image = sound_image();

    (void)state;
    image.other.header.n_namesz = UINT32_MAX;
    assert_refused(&image, "its ELF notes are malformed");
    image = sound_image();
    image.other.header.n_descsz = UINT32_MAX;
    assert_refused(&image, "its ELF notes are malformed");
    image = sound_image();
    image.note.header.n_descsz = 8;
    image.segments[1].p_filesz = 2 * sizeof(struct note) + 4;
    assert_truncated(&image);
    image = sound_image();
    image.note.header.n_descsz = 0;
    assert_refused(&image, "its crosh note is malformed");
    image = sound_image();
    image.note.name[0] = 'C';
    assert_refused(&image, "it has no crosh note: it is no crosh module");
    image = sound_image();
    image.segments[1].p_filesz = 2 * sizeof(struct note) - 4;
    assert_refused(&image, "its ELF notes are malformed");
}

/* Every single changed byte, and every length: refused or read, never a crash. */
static void test_mutations(void **state)
{
    static const unsigned char values[] = {0x00, 0x01, 0x7f, 0x80, 0xff};
    struct image sound = sound_image();
    unsigned char bytes[sizeof(sound)];
    uint32_t version;

    (void)state;
    for (size_t size = 0; size < sizeof(sound); size++)
        assert_true(read_bytes(&sound, size, &version, NULL) < 0);
    for (size_t i = 0; i < sizeof(sound); i++) {
        for (size_t j = 0; j < sizeof(values); j++) {
            memcpy(bytes, &sound, sizeof(bytes));
            bytes[i] = values[j];
            (void)read_bytes(bytes, sizeof(bytes), &version, NULL);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sound),     cmocka_unit_test(test_not_elf),
        cmocka_unit_test(test_other_elf), cmocka_unit_test(test_headers),
        cmocka_unit_test(test_offsets),   cmocka_unit_test(test_notes),
        cmocka_unit_test(test_mutations),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/* Tests of reading build ids: from this very program, and from what is none. */
#include "tests/unit/cmocka-prelude.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/base/build-id.h"

/* A note with a name and data, both padded to 4 bytes. Its size. */
static size_t add_note(uint8_t *to, uint32_t type, const char *name, const void *data,
                       uint32_t size)
{
    uint32_t name_size = (uint32_t)strlen(name) + 1;
    const ElfW(Nhdr) note = {.n_namesz = name_size, .n_descsz = size, .n_type = type};
    size_t at = sizeof(note);

    memcpy(to, &note, sizeof(note));
    memset(to + at, 0, (name_size + 3) / 4 * 4);
    memcpy(to + at, name, name_size);
    at += (name_size + 3) / 4 * 4;
    memset(to + at, 0, (size + 3) / 4 * 4);
    memcpy(to + at, data, size);
    return at + (size + 3) / 4 * 4;
}

static void notes_are_searched(void **state)
{
    uint8_t notes[256];
    struct build_id id = {.size = 0};
    size_t size;

    (void)state;
    size = add_note(notes, NT_GNU_ABI_TAG, "GNU", "other", 5);
    size += add_note(notes + size, NT_GNU_BUILD_ID, "CROSH", "not this", 8);
    assert_int_equal(build_id_find(&id, notes, size, 4), 0);
    size += add_note(notes + size, NT_GNU_BUILD_ID, "GNU", "the id", 6);
    assert_int_equal(build_id_find(&id, notes, size, 4), 1);
    assert_int_equal(id.size, 6);
    assert_memory_equal(id.bytes, "the id", 6);
    /* Cut anywhere before its end, it is not there. */
    for (size_t cut = 0; cut < size - 2; cut++)
        assert_int_equal(build_id_find(&id, notes, cut, 4), 0);
}

static void notes_that_lie_about_their_sizes(void **state)
{
    static const uint32_t sizes[] = {0x7fffffff, 0x80000000, 0xfffffff0, 0xffffffff, 100};
    struct build_id id;
    uint8_t notes[64];

    (void)state;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
        ElfW(Nhdr) note = {.n_namesz = sizes[i], .n_descsz = 4, .n_type = NT_GNU_BUILD_ID};

        memset(notes, 0, sizeof(notes));
        memcpy(notes, &note, sizeof(note));
        assert_int_equal(build_id_find(&id, notes, sizeof(notes), 4), 0);
        note = (ElfW(Nhdr)){.n_namesz = 4, .n_descsz = sizes[i], .n_type = NT_GNU_BUILD_ID};
        memcpy(notes, &note, sizeof(note));
        memcpy(notes + sizeof(note), "GNU", 4);
        assert_int_equal(build_id_find(&id, notes, sizeof(notes), 4), 0);
    }
}

static void a_program_and_its_file_say_the_same(void **state)
{
    struct build_id own, file;
    int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

    (void)state;
    assert_true(fd >= 0);
    build_id_own(&own);
    assert_int_equal(build_id_of_file(&file, fd), 0);
    assert_true(own.size >= 8);
    assert_int_equal(file.size, own.size);
    assert_memory_equal(file.bytes, own.bytes, own.size);
    (void)close(fd);
}

static void what_is_no_program_has_none(void **state)
{
    ElfW(Ehdr) header = {.e_ident = ELFMAG, .e_phentsize = sizeof(ElfW(Phdr)), .e_phnum = 3};
    int fd = memfd_create("test", MFD_CLOEXEC);
    struct build_id id;

    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(build_id_of_file(&id, fd), -ENOEXEC);
    assert_int_equal(pwrite(fd, "#!/bin/sh\n", 10, 0), 10);
    assert_int_equal(build_id_of_file(&id, fd), -ENOEXEC);
    assert_int_equal(pwrite(fd, &header, sizeof(header), 0), sizeof(header));
    assert_int_equal(build_id_of_file(&id, fd), -ENOEXEC);
    (void)close(fd);
    assert_int_equal(build_id_of_file(&id, fd), -EBADF);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(notes_are_searched),
        cmocka_unit_test(notes_that_lie_about_their_sizes),
        cmocka_unit_test(a_program_and_its_file_say_the_same),
        cmocka_unit_test(what_is_no_program_has_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

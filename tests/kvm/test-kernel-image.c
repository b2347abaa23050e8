/* SPDX-License-Identifier: MIT */
/* Tests the kernel file parsers with whole, truncated and absurd images. */
#include "tests/unit/cmocka-prelude.h"

#include <asm/bootparam.h>
#include <elf.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "kvm/x86/kernel-image.h"

enum { HEADER = 0x1f1, IMAGE_SIZE = 0x8000 };

static uint8_t image[IMAGE_SIZE];

static struct setup_header *setup(void)
{
    return (struct setup_header *)(void *)(image + HEADER);
}

/* A bzImage as small as it can be: 4 setup sectors and 16 KiB of code. */
static void make_bzimage(void)
{
    struct setup_header header = {
        .setup_sects = 4,
        .boot_flag = 0xaa55,
        .jump = 0x66eb,
        .header = 0x53726448,
        .version = 0x20f,
        .loadflags = LOADED_HIGH,
        .xloadflags = XLF_KERNEL_64,
        .syssize = 0x4000 / 16,
        .pref_address = 0x1000000,
        .init_size = 0x100000,
        .initrd_addr_max = 0x7fffffff,
        .cmdline_size = 2047,
    };

    memset(image, 0, sizeof(image));
    memcpy(image + HEADER, &header, sizeof(header));
}

static Elf64_Phdr *program_header(unsigned int index)
{
    return (Elf64_Phdr *)(void *)(image + sizeof(Elf64_Ehdr)) + index;
}

static Elf64_Ehdr *elf_header(void)
{
    return (Elf64_Ehdr *)(void *)image;
}

static void make_elf(void)
{
    memset(image, 0, sizeof(image));
    *elf_header() = (Elf64_Ehdr){
        .e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
        .e_type = ET_EXEC,
        .e_machine = EM_X86_64,
        .e_entry = 0x1000100,
        .e_phoff = sizeof(Elf64_Ehdr),
        .e_phentsize = sizeof(Elf64_Phdr),
        .e_phnum = 2,
    };
    *program_header(0) = (Elf64_Phdr){.p_type = PT_LOAD,
                                      .p_offset = 0x1000,
                                      .p_paddr = 0x1000000,
                                      .p_filesz = 0x2000,
                                      .p_memsz = 0x5000};
    *program_header(1) = (Elf64_Phdr){.p_type = PT_NOTE, .p_offset = UINT64_MAX};
}

static int parse(size_t size, struct kernel_image *result, struct crosh_error *err)
{
    /* A copy of exactly that size, so that a sanitizer sees what is read beyond. */
    size_t head_size = size < KERNEL_IMAGE_HEAD ? size : KERNEL_IMAGE_HEAD;
    uint8_t *copy = malloc(head_size > 0 ? head_size : 1);
    int code;

    assert_non_null(copy);
    memcpy(copy, image, head_size < sizeof(image) ? head_size : sizeof(image));
    *err = (struct crosh_error){0};
    code = kernel_image_parse(copy, head_size, size, result, err);
    free(copy);
    return code;
}

static void refused(const char *why)
{
    struct kernel_image result;
    struct crosh_error err;

    assert_int_equal(parse(sizeof(image), &result, &err), -ENOEXEC);
    if (strstr(err.message, why) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", err.message, why);
}

/* Whatever was accepted is within its bounds. */
static void check_bounds(const struct kernel_image *result, uint64_t file_size)
{
    assert_in_range(result->segment_count, 1, KERNEL_IMAGE_MAX_SEGMENTS);
    for (unsigned int i = 0; i < result->segment_count; i++) {
        const struct kernel_segment *segment = &result->segment[i];

        assert_true(segment->file_size <= segment->memory_size);
        assert_true(segment->file_offset <= file_size);
        assert_true(segment->file_size <= file_size - segment->file_offset);
        assert_true(segment->gpa >= KERNEL_IMAGE_LOWEST);
        assert_true(segment->gpa <= KERNEL_IMAGE_HIGHEST);
        assert_true(segment->memory_size <= KERNEL_IMAGE_HIGHEST - segment->gpa);
        assert_true(result->end >= segment->gpa + segment->memory_size);
    }
    assert_true(result->setup_header_size <= sizeof(result->setup_header));
}

static void test_bzimage(void **state)
{
    struct kernel_image result;
    struct crosh_error err;

    (void)state;
    make_bzimage();
    assert_int_equal(parse(sizeof(image), &result, &err), 0);
    check_bounds(&result, sizeof(image));
    assert_int_equal(result.segment_count, 1);
    assert_int_equal(result.segment[0].file_offset, 5 * 512);
    assert_int_equal(result.segment[0].file_size, 0x4000);
    assert_int_equal(result.segment[0].gpa, 0x1000000);
    assert_int_equal(result.entry, 0x1000200);
    assert_int_equal(result.end, 0x1100000);
    assert_int_equal(result.cmdline_max, 2047);
    /* The header's own length: up to 0x202 plus the jump's distance, 0x66. */
    assert_int_equal(result.setup_header_size, 0x268 - HEADER);
}

static void test_bzimage_absurd(void **state)
{
    (void)state;
    make_bzimage();
    setup()->boot_flag = 0;
    refused("no boot signature");
    make_bzimage();
    setup()->version = 0x20b;
    refused("2.11 is too old");
    make_bzimage();
    setup()->xloadflags = 0;
    refused("not a 64-bit");
    make_bzimage();
    setup()->syssize = 0;
    refused("no code");
    make_bzimage();
    setup()->syssize = UINT32_MAX;
    refused("truncated");
    make_bzimage();
    setup()->setup_sects = 255;
    refused("truncated");
    make_bzimage();
    setup()->pref_address = UINT64_MAX - 4095;
    refused("impossible address");
    make_bzimage();
    setup()->pref_address = 0;
    refused("impossible address");
    make_bzimage();
    setup()->pref_address = 0x1000001;
    refused("impossible address");
    make_bzimage();
    setup()->init_size = UINT32_MAX;
    refused("impossible memory size");
    make_bzimage();
    setup()->init_size = 0x1000; /* less than the code */
    refused("impossible memory size");
    make_bzimage();
    image[0x201] = 0xff; /* a header longer than any known */
    {
        struct kernel_image result;
        struct crosh_error err;

        assert_int_equal(parse(sizeof(image), &result, &err), 0);
        check_bounds(&result, sizeof(image));
    }
}

static void test_elf(void **state)
{
    struct kernel_image result;
    struct crosh_error err;

    (void)state;
    make_elf();
    assert_int_equal(parse(sizeof(image), &result, &err), 0);
    check_bounds(&result, sizeof(image));
    assert_int_equal(result.segment_count, 1);
    assert_int_equal(result.entry, 0x1000100);
    assert_int_equal(result.end, 0x1005000);
    assert_int_equal(result.setup_header_size, 0);
}

static void test_elf_absurd(void **state)
{
    (void)state;
    make_elf();
    elf_header()->e_ident[EI_CLASS] = ELFCLASS32;
    refused("not a 64-bit");
    make_elf();
    elf_header()->e_machine = EM_AARCH64;
    refused("not a 64-bit");
    make_elf();
    elf_header()->e_type = ET_DYN;
    refused("a program, library or object");
    make_elf();
    program_header(1)->p_type = PT_GNU_STACK; /* a static program */
    refused("a program, library or object");
    make_elf();
    elf_header()->e_phnum = 0;
    refused("program headers");
    make_elf();
    elf_header()->e_phnum = UINT16_MAX;
    refused("program headers");
    make_elf();
    elf_header()->e_phentsize = 1;
    refused("program headers");
    make_elf();
    elf_header()->e_phoff = UINT64_MAX;
    refused("ends before its program headers");
    make_elf();
    elf_header()->e_phoff = sizeof(image) - 1;
    refused("ends before its program headers");
    make_elf();
    program_header(0)->p_filesz = 0x5001;
    refused("larger in the file");
    make_elf();
    program_header(0)->p_offset = UINT64_MAX;
    refused("truncated");
    make_elf();
    program_header(0)->p_offset = sizeof(image) - 1;
    refused("truncated");
    make_elf();
    program_header(0)->p_paddr = 0;
    refused("impossible address");
    make_elf();
    program_header(0)->p_paddr = UINT64_MAX;
    refused("impossible address");
    make_elf();
    program_header(0)->p_memsz = UINT64_MAX;
    refused("impossible address");
    make_elf();
    elf_header()->e_entry = 0xffffffff81000000;
    refused("not entered at a physical address");
    make_elf();
    elf_header()->e_entry = 0x1003000; /* in the part that is zero */
    refused("not entered at a physical address");
}

static void test_truncated(void **state)
{
    struct kernel_image result;
    struct crosh_error err;

    (void)state;
    make_bzimage();
    for (size_t size = 0; size < 5 * 512 + 0x4000; size++) {
        assert_int_equal(parse(size, &result, &err), -ENOEXEC);
        assert_true(err.message[0] != '\0');
    }
    assert_int_equal(parse(5 * 512 + 0x4000, &result, &err), 0);
    make_elf();
    for (size_t size = 0; size < 0x3000; size++)
        assert_int_equal(parse(size, &result, &err), -ENOEXEC);
    assert_int_equal(parse(0x3000, &result, &err), 0);
}

static void test_something_else(void **state)
{
    (void)state;
    memset(image, 0, sizeof(image));
    refused("not a Linux kernel: neither");
    memcpy(image, "\x1f\x8b\x08", 3);
    refused("not a Linux kernel: gzip");
    memcpy(image, "070701", 6);
    refused("not a Linux kernel: a cpio archive");
    memcpy(image, "#!/bin/sh", 9);
    refused("not a Linux kernel: a script");
}

/* Random damage to both formats: never beyond the bounds, whatever is accepted. */
static void test_mutations(void **state)
{
    unsigned int seed = 20261123, accepted = 0;

    (void)state;
    for (unsigned int round = 0; round < 100000; round++) {
        struct kernel_image result;
        struct crosh_error err;
        unsigned int changes = 1 + (unsigned int)rand_r(&seed) % 8;
        bool is_elf = round % 2 != 0;

        if (is_elf)
            make_elf();
        else
            make_bzimage();
        while (changes-- > 0) {
            size_t at = is_elf ? (size_t)rand_r(&seed) % 180
                               : HEADER + (size_t)rand_r(&seed) % sizeof(struct setup_header);

            image[at] = (uint8_t)rand_r(&seed);
        }
        if (kernel_image_parse(image, sizeof(image), sizeof(image), &result, &err) == 0) {
            check_bounds(&result, sizeof(image));
            accepted++;
        }
    }
    assert_true(accepted > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bzimage),   cmocka_unit_test(test_bzimage_absurd),
        cmocka_unit_test(test_elf),       cmocka_unit_test(test_elf_absurd),
        cmocka_unit_test(test_truncated), cmocka_unit_test(test_something_else),
        cmocka_unit_test(test_mutations),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

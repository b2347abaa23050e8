/* SPDX-License-Identifier: MIT */
/* The header of arm64's kernel image: what is read, and what is refused. */
#include "tests/unit/cmocka-prelude.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "kvm/arm64/image.h"

static void make_header(uint8_t head[ARM64_IMAGE_HEAD], uint64_t text_offset, uint64_t size,
                        uint64_t flags)
{
    memset(head, 0, ARM64_IMAGE_HEAD);
    memcpy(head, "MZ", 2);
    memcpy(head + 8, &text_offset, sizeof(text_offset));
    memcpy(head + 16, &size, sizeof(size));
    memcpy(head + 24, &flags, sizeof(flags));
    memcpy(head + 56, "ARM\x64", 4);
}

static void test_fields(void **state)
{
    uint8_t head[ARM64_IMAGE_HEAD];
    struct arm64_image image;

    (void)state;
    make_header(head, 0, 0x1ab0000, 0xa);
    assert_int_equal(arm64_image_parse(head, sizeof(head), 0x1a0a000, &image, NULL), 0);
    assert_int_equal(image.text_offset, 0);
    assert_int_equal(image.memory_size, 0x1ab0000);
    /* More in the file than the header tells of is loaded as well. */
    assert_int_equal(arm64_image_parse(head, sizeof(head), 0x1ab0001, &image, NULL), 0);
    assert_int_equal(image.memory_size, 0x1ab0001);
    /* Kernels before 3.17 give neither size nor a true offset. */
    make_header(head, 0x1234, 0, 0);
    assert_int_equal(arm64_image_parse(head, sizeof(head), 0x1000, &image, NULL), 0);
    assert_int_equal(image.text_offset, 0x80000);
    assert_int_equal(image.memory_size, 0x1000);
}

static void refuse(const uint8_t *head, size_t head_size, uint64_t file_size, const char *message)
{
    /* In memory of its exact size, so that the sanitizer sees a read beyond. */
    uint8_t *exact = malloc(head_size != 0 ? head_size : 1);
    struct arm64_image image;
    struct crosh_error err = {0};

    assert_non_null(exact);
    memcpy(exact, head, head_size);
    assert_int_equal(arm64_image_parse(exact, head_size, file_size, &image, &err), -ENOEXEC);
    assert_string_equal(err.message, message);
    assert_int_equal(image.text_offset, 0);
    assert_int_equal(image.memory_size, 0);
    free(exact);
}

static void test_refusals(void **state)
{
    const char *too_much = "the kernel is damaged: its header asks for too much";
    uint8_t head[ARM64_IMAGE_HEAD];

    (void)state;
    make_header(head, 0, 0x1000, 0);
    for (size_t cut = 0; cut < sizeof(head); cut++)
        refuse(head, cut, cut, "not a Linux kernel: no arm64 image");
    head[59] ^= 1;
    refuse(head, sizeof(head), 4096, "not a Linux kernel: no arm64 image");
    memcpy(head, "\x1f\x8b", 2);
    refuse(head, sizeof(head), 4096,
           "not a Linux kernel: gzip data (an initramfs, or a kernel to be unpacked first)");
    make_header(head, 0, 0x1000, 1);
    refuse(head, sizeof(head), 4096, "the kernel is a big-endian one");
    make_header(head, 0, ARM64_IMAGE_MAX + 1, 0);
    refuse(head, sizeof(head), 4096, too_much);
    make_header(head, 0, 0x1000, 0);
    refuse(head, sizeof(head), ARM64_IMAGE_MAX + 1, too_much);
    make_header(head, UINT64_MAX - 3, 0x1000, 0);
    refuse(head, sizeof(head), 4096, too_much);
    make_header(head, 2, 0x1000, 0);
    refuse(head, sizeof(head), 4096, too_much);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_fields),
                                       cmocka_unit_test(test_refusals)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}

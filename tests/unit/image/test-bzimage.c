/* SPDX-License-Identifier: MIT */
/* Tests the reading of kernel images: every compression, and truncated, damaged and absurd ones. */
#include <elf.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <lz4.h>
#include <lzma.h>
#include <zlib.h>
#include <zstd.h>

#include "guest/image/bzimage.h"

#define SETUP_SIZE (5 * 512)
#define IMAGE_ROOM 8192
#define RELEASE    "6.1.0-test+1"

struct elf_file {
    Elf64_Ehdr header;
    Elf64_Phdr segment;
    uint8_t code[2048];
};

static struct elf_file make_elf(void)
{
    struct elf_file elf = {
        .header = {.e_ident = ELFMAG,
                   .e_type = ET_EXEC,
                   .e_machine = EM_X86_64,
                   .e_phoff = offsetof(struct elf_file, segment),
                   .e_phentsize = sizeof(Elf64_Phdr),
                   .e_phnum = 1},
        .segment = {.p_type = PT_LOAD,
                    .p_offset = offsetof(struct elf_file, code),
                    .p_filesz = sizeof(elf.code),
                    .p_memsz = sizeof(elf.code)},
    };

    elf.header.e_ident[EI_CLASS] = ELFCLASS64;
    elf.header.e_ident[EI_DATA] = ELFDATA2LSB;
    for (size_t i = 0; i < sizeof(elf.code); i++)
        elf.code[i] = (uint8_t)(i * i >> 3);
    return elf;
}

static void put_le32(uint8_t *p, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)(value >> 8 * i);
}

/* Compresses as the kernel's build does; returns the size. */
static size_t compress_payload(enum bzimage_format format, const void *data, size_t size,
                               uint8_t *out, size_t room)
{
    size_t made = 0;

    switch (format) {
    case BZIMAGE_GZIP: {
        z_stream z = {.next_in = (Bytef *)data,
                      .avail_in = (uInt)size,
                      .next_out = out,
                      .avail_out = (uInt)room};

        assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY),
                         Z_OK);
        assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
        made = z.total_out;
        deflateEnd(&z);
        return made; /* its last four bytes are the size already */
    }
    case BZIMAGE_XZ:
        assert_int_equal(
            lzma_easy_buffer_encode(6, LZMA_CHECK_CRC32, NULL, data, size, out, &made, room),
            LZMA_OK);
        break;
    case BZIMAGE_LZMA: {
        lzma_options_lzma options;
        lzma_stream s = LZMA_STREAM_INIT;

        lzma_lzma_preset(&options, 6);
        assert_int_equal(lzma_alone_encoder(&s, &options), LZMA_OK);
        s.next_in = data;
        s.avail_in = size;
        s.next_out = out;
        s.avail_out = room;
        assert_int_equal(lzma_code(&s, LZMA_FINISH), LZMA_STREAM_END);
        made = s.total_out;
        lzma_end(&s);
        break;
    }
    case BZIMAGE_ZSTD:
        made = ZSTD_compress(out, room, data, size, 3);
        assert_false(ZSTD_isError(made));
        break;
    case BZIMAGE_LZ4: {
        /* Two blocks, so that the second must be found behind the first. */
        size_t half = size / 2;
        int got;

        put_le32(out, 0x184c2102);
        made = 4;
        for (size_t at = 0; at < size; at += half) {
            size_t part = size - at < half ? size - at : half;

            got = LZ4_compress_default((const char *)data + at, (char *)out + made + 4, (int)part,
                                       (int)(room - made - 4));
            assert_true(got > 0);
            put_le32(out + made, (uint32_t)got);
            made += 4 + (size_t)got;
        }
        break;
    }
    case BZIMAGE_PLAIN:
        memcpy(out, data, size);
        return size;
    }
    put_le32(out + made, (uint32_t)size);
    return made + 4;
}

/* A bzImage of the given payload; returns its size. */
static size_t make_image(uint8_t *image, const uint8_t *payload, size_t payload_size)
{
    memset(image, 0, SETUP_SIZE);
    image[0x1f1] = SETUP_SIZE / 512 - 1;
    image[0x1fe] = 0x55;
    image[0x1ff] = 0xaa;
    memcpy(image + 0x202, "HdrS", 4);
    image[0x206] = 0x0f;
    image[0x207] = 0x02;
    image[0x20e] = 0x00; /* the release at 0x300 */
    image[0x20f] = 0x01;
    strcpy((char *)image + 0x300, RELEASE " (someone@host) #1");
    put_le32(image + 0x248, 16); /* some code before the payload */
    put_le32(image + 0x24c, (uint32_t)payload_size);
    memset(image + SETUP_SIZE, 0x90, 16);
    memcpy(image + SETUP_SIZE + 16, payload, payload_size);
    return SETUP_SIZE + 16 + payload_size;
}

static size_t make_compressed(enum bzimage_format format, uint8_t *image)
{
    struct elf_file elf = make_elf();
    uint8_t payload[IMAGE_ROOM - SETUP_SIZE - 16];
    size_t size = compress_payload(format, &elf, sizeof(elf), payload, sizeof(payload) - 4);

    return make_image(image, payload, size);
}

/* As crosh-vmlinux does it; the result is freed. */
static int extract(const uint8_t *image, size_t size, struct crosh_error *err)
{
    /* On the heap in its exact size, so that the sanitizer and valgrind see a read beyond. */
    uint8_t *exact = malloc(size != 0 ? size : 1);
    struct bzimage_payload payload;
    uint8_t *elf = NULL;
    size_t elf_size = 0;
    int status;

    assert_non_null(exact);
    memcpy(exact, image, size);
    status = bzimage_find_payload(exact, size, &payload, err);
    if (status == 0)
        status = bzimage_unpack(&payload, &elf, &elf_size, err);
    if (status == 0)
        status = bzimage_check_kernel(elf, elf_size, err);
    free(elf);
    free(exact);
    return status;
}

static void unpacks_every_format(void **state)
{
    (void)state;
    for (enum bzimage_format format = BZIMAGE_GZIP; format <= BZIMAGE_PLAIN; format++) {
        uint8_t image[IMAGE_ROOM];
        size_t size = make_compressed(format, image);
        struct elf_file want = make_elf();
        struct bzimage_payload payload;
        struct crosh_error err = {0};
        uint8_t *elf = NULL;
        size_t elf_size = 0;

        assert_int_equal(bzimage_find_payload(image, size, &payload, &err), 0);
        assert_int_equal(payload.format, format);
        assert_int_equal(bzimage_unpack(&payload, &elf, &elf_size, &err), 0);
        assert_int_equal(elf_size, sizeof(want));
        assert_memory_equal(elf, &want, sizeof(want));
        assert_int_equal(bzimage_check_kernel(elf, elf_size, &err), 0);
        free(elf);
    }
}

static void refuses_every_truncation(void **state)
{
    (void)state;
    for (enum bzimage_format format = BZIMAGE_GZIP; format <= BZIMAGE_PLAIN; format++) {
        uint8_t image[IMAGE_ROOM];
        size_t size = make_compressed(format, image);

        for (size_t cut = 0; cut < size; cut++) {
            struct crosh_error err = {0};

            assert_int_equal(extract(image, cut, &err), -ENOEXEC);
            assert_string_not_equal(err.message, "");
        }
        assert_int_equal(extract(image, size, NULL), 0);
    }
}

/* The payload shortened with the header saying so: the unpackers themselves must notice. */
/* Only what is loaded, and only in the file: in memory a segment keeps its size. */
static void trims_zeros_off_segments(void **state)
{
    struct elf_file elf = make_elf(), want;
    struct crosh_error err = {0};

    (void)state;
    memset(elf.code + sizeof(elf.code) - 100, 0, 100);
    elf.code[sizeof(elf.code) - 101] = 1;
    want = elf;
    want.segment.p_filesz = sizeof(elf.code) - 100;
    bzimage_trim_segments(&elf, sizeof(elf));
    assert_memory_equal(&elf, &want, sizeof(elf));
    assert_int_equal(bzimage_check_kernel(&elf, sizeof(elf), &err), 0);

    memset(elf.code, 0, sizeof(elf.code));
    bzimage_trim_segments(&elf, sizeof(elf));
    assert_int_equal(elf.segment.p_filesz, 0);
    assert_int_equal(elf.segment.p_memsz, sizeof(elf.code));

    elf = make_elf();
    elf.segment.p_type = PT_NOTE;
    memset(elf.code, 0, sizeof(elf.code));
    want = elf;
    bzimage_trim_segments(&elf, sizeof(elf));
    assert_memory_equal(&elf, &want, sizeof(elf));
}

static void refuses_short_payloads(void **state)
{
    (void)state;
    for (enum bzimage_format format = BZIMAGE_GZIP; format <= BZIMAGE_LZ4; format++) {
        uint8_t image[IMAGE_ROOM];
        size_t size = make_compressed(format, image);
        size_t payload_size = size - SETUP_SIZE - 16;

        for (size_t shorter = 8; shorter < payload_size; shorter++) {
            uint8_t copy[IMAGE_ROOM];

            memcpy(copy, image, size);
            put_le32(copy + 0x24c, (uint32_t)shorter);
            put_le32(copy + SETUP_SIZE + 16 + shorter - 4, sizeof(struct elf_file));
            assert_true(extract(copy, SETUP_SIZE + 16 + shorter, NULL) < 0);
        }
    }
}

static void survives_every_flipped_byte(void **state)
{
    (void)state;
    for (enum bzimage_format format = BZIMAGE_GZIP; format <= BZIMAGE_PLAIN; format++) {
        uint8_t image[IMAGE_ROOM];
        size_t size = make_compressed(format, image);

        for (size_t at = 0; at < size; at++) {
            image[at] ^= 0xff;
            /* Flips in unused bytes do no harm; no other may crash or read outside. */
            (void)extract(image, size, NULL);
            image[at] ^= 0xff;
        }
    }
}

static void refuses_absurd_headers(void **state)
{
    uint8_t image[IMAGE_ROOM];
    size_t size = make_compressed(BZIMAGE_LZ4, image);
    uint8_t *claimed_size = image + size - 4;
    struct bzimage_payload payload;

    (void)state;
    put_le32(image + 0x248, UINT32_MAX);
    assert_int_equal(extract(image, size, NULL), -ENOEXEC);
    put_le32(image + 0x24c, UINT32_MAX);
    assert_int_equal(extract(image, size, NULL), -ENOEXEC);
    put_le32(image + 0x248, 16);
    assert_int_equal(extract(image, size, NULL), -ENOEXEC);
    put_le32(image + 0x24c, 0);
    assert_int_equal(extract(image, size, NULL), -ENOEXEC);

    size = make_compressed(BZIMAGE_LZ4, image);
    put_le32(claimed_size, UINT32_MAX); /* would be 4 GiB of memory: refused before any is taken */
    assert_int_equal(bzimage_find_payload(image, size, &payload, NULL), -ENOEXEC);
    put_le32(claimed_size, 0);
    assert_int_equal(extract(image, size, NULL), -ENOEXEC);
    put_le32(claimed_size, sizeof(struct elf_file) - 1);
    assert_int_equal(extract(image, size, NULL), -ENOEXEC);
    put_le32(claimed_size, sizeof(struct elf_file) + 1);
    assert_int_equal(extract(image, size, NULL), -ENOEXEC);

    /* A format that says itself where it ends, and ends before the claimed size. */
    size = make_compressed(BZIMAGE_ZSTD, image);
    put_le32(image + size - 4, sizeof(struct elf_file) + 1);
    assert_int_equal(extract(image, size, NULL), -ENOEXEC);

    size = make_compressed(BZIMAGE_LZ4, image);
    image[0x207] = 0x01; /* protocol 1.15 */
    assert_int_equal(extract(image, size, NULL), -EOPNOTSUPP);
    image[0x207] = 0x02;
    memcpy(image + SETUP_SIZE + 16, "BZh9", 4);
    assert_int_equal(extract(image, size, NULL), -EOPNOTSUPP);
}

static void refuses_damaged_elf(void **state)
{
    struct elf_file elf;

    (void)state;
    elf = make_elf();
    elf.header.e_machine = EM_AARCH64;
    assert_int_equal(bzimage_check_kernel(&elf, sizeof(elf), NULL), -ENOEXEC);
    elf = make_elf();
    elf.header.e_ident[EI_CLASS] = ELFCLASS32;
    assert_int_equal(bzimage_check_kernel(&elf, sizeof(elf), NULL), -ENOEXEC);
    elf = make_elf();
    elf.header.e_phoff = UINT64_MAX;
    assert_int_equal(bzimage_check_kernel(&elf, sizeof(elf), NULL), -ENOEXEC);
    elf = make_elf();
    elf.header.e_phnum = UINT16_MAX;
    assert_int_equal(bzimage_check_kernel(&elf, sizeof(elf), NULL), -ENOEXEC);
    elf = make_elf();
    elf.header.e_phnum = 0;
    assert_int_equal(bzimage_check_kernel(&elf, sizeof(elf), NULL), -ENOEXEC);
    elf = make_elf();
    elf.segment.p_offset = UINT64_MAX - 8; /* offset + size would wrap to something small */
    elf.segment.p_filesz = 16;
    assert_int_equal(bzimage_check_kernel(&elf, sizeof(elf), NULL), -ENOEXEC);
    elf = make_elf();
    elf.segment.p_filesz++;
    assert_int_equal(bzimage_check_kernel(&elf, sizeof(elf), NULL), -ENOEXEC);
    elf = make_elf();
    assert_int_equal(bzimage_check_kernel(&elf, sizeof(elf), NULL), 0);
}

#define ARM64_SIZE 3000

static void make_arm64_image(uint8_t image[ARM64_SIZE])
{
    for (size_t i = 0; i < ARM64_SIZE; i++)
        image[i] = (uint8_t)(i * i >> 3);
    memcpy(image, "MZ@\xfa", 4);
    memcpy(image + 56, "ARM\x64", 4);
    strcpy((char *)image + 1000, "Linux version " RELEASE " (someone@host)");
}

/* What an EFI zboot program is to us: a header, and the payload with its size behind it. */
static size_t make_zboot(enum bzimage_format format, uint8_t *image)
{
    enum { HEADER = 512 };
    uint8_t kernel[ARM64_SIZE];
    size_t size, appended = format == BZIMAGE_GZIP ? 0 : 4;

    make_arm64_image(kernel);
    memset(image, 0, HEADER);
    size =
        compress_payload(format, kernel, sizeof(kernel), image + HEADER, IMAGE_ROOM - HEADER - 4);
    memcpy(image, "MZ\0\0zimg", 8);
    put_le32(image + 8, HEADER);
    put_le32(image + 12, (uint32_t)(size - appended));
    return HEADER + size;
}

static void unpacks_arm64_images(void **state)
{
    uint8_t want[ARM64_SIZE], image[IMAGE_ROOM];
    struct bzimage_payload payload;
    char release[65];

    (void)state;
    make_arm64_image(want);
    assert_int_equal(bzimage_find_payload(want, sizeof(want), &payload, NULL), 0);
    assert_int_equal(payload.format, BZIMAGE_PLAIN);
    assert_int_equal(payload.size, sizeof(want));
    assert_int_equal(bzimage_check_kernel(want, sizeof(want), NULL), 0);
    assert_int_equal(bzimage_release(want, sizeof(want), release, sizeof(release), NULL), 0);
    assert_string_equal(release, RELEASE);
    assert_int_equal(bzimage_check_kernel(want, 63, NULL), -ENOEXEC);

    for (enum bzimage_format format = BZIMAGE_GZIP; format < BZIMAGE_PLAIN; format++) {
        size_t size = make_zboot(format, image);
        uint8_t *kernel = NULL;
        size_t kernel_size = 0;

        assert_int_equal(bzimage_find_payload(image, size, &payload, NULL), 0);
        assert_int_equal(payload.format, format);
        assert_int_equal(bzimage_unpack(&payload, &kernel, &kernel_size, NULL), 0);
        assert_int_equal(kernel_size, sizeof(want));
        assert_memory_equal(kernel, want, sizeof(want));
        free(kernel);
        for (size_t cut = 0; cut < size; cut++)
            assert_int_equal(extract(image, cut, NULL), -ENOEXEC);
    }
    put_le32(image + 8, UINT32_MAX);
    put_le32(image + 12, UINT32_MAX);
    assert_int_equal(extract(image, IMAGE_ROOM, NULL), -ENOEXEC);
}

static void unpacks_gzipped_images(void **state)
{
    uint8_t kernel[ARM64_SIZE], image[IMAGE_ROOM];
    size_t size;

    (void)state;
    make_arm64_image(kernel);
    size = compress_payload(BZIMAGE_GZIP, kernel, sizeof(kernel), image, sizeof(image));
    for (size_t cut = 0; cut < size; cut++)
        assert_int_equal(extract(image, cut, NULL), -ENOEXEC);
    assert_int_equal(extract(image, size, NULL), 0);
    /* Anything else that gzip packs is no kernel. */
    kernel[56] = 'B';
    size = compress_payload(BZIMAGE_GZIP, kernel, sizeof(kernel), image, sizeof(image));
    assert_int_equal(extract(image, size, NULL), -ENOEXEC);
}

static void tells_the_release(void **state)
{
    uint8_t image[IMAGE_ROOM];
    size_t size = make_compressed(BZIMAGE_GZIP, image);
    struct elf_file elf = make_elf();
    char release[65];

    (void)state;
    assert_int_equal(bzimage_release(image, size, release, sizeof(release), NULL), 0);
    assert_string_equal(release, RELEASE);

    strcpy((char *)elf.code + 100, "Linux version %s (%s)\n");
    strcpy((char *)elf.code + 200, "Linux version 6.18.1-x (a@b)");
    assert_int_equal(bzimage_release(&elf, sizeof(elf), release, sizeof(release), NULL), 0);
    assert_string_equal(release, "6.18.1-x");
}

static void refuses_a_release_unfit_for_a_path(void **state)
{
    uint8_t image[IMAGE_ROOM];
    size_t size = make_compressed(BZIMAGE_GZIP, image);
    char release[65];

    (void)state;
    strcpy((char *)image + 0x300, "../../etc");
    assert_int_equal(bzimage_release(image, size, release, sizeof(release), NULL), -ENOEXEC);
    memset(image + 0x300, '6', 100);
    assert_int_equal(bzimage_release(image, size, release, sizeof(release), NULL), -ENOEXEC);
    image[0x20f] = 0xff; /* outside the file */
    assert_int_equal(bzimage_release(image, size, release, sizeof(release), NULL), -ENOEXEC);
    image[0x20f] = 0;
    assert_int_equal(bzimage_release(image, size, release, sizeof(release), NULL), -ENOEXEC);
    assert_int_equal(bzimage_release("x", 1, release, sizeof(release), NULL), -ENOEXEC);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unpacks_every_format),
        cmocka_unit_test(trims_zeros_off_segments),
        cmocka_unit_test(refuses_every_truncation),
        cmocka_unit_test(refuses_short_payloads),
        cmocka_unit_test(survives_every_flipped_byte),
        cmocka_unit_test(refuses_absurd_headers),
        cmocka_unit_test(refuses_damaged_elf),
        cmocka_unit_test(unpacks_arm64_images),
        cmocka_unit_test(unpacks_gzipped_images),
        cmocka_unit_test(tells_the_release),
        cmocka_unit_test(refuses_a_release_unfit_for_a_path),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

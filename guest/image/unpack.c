/* SPDX-License-Identifier: MIT */
/* Unpacks the kernel out of a bzImage's payload, into exactly the memory that the image claims. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <lz4.h>
#include <lzma.h>
#include <zlib.h>
#include <zstd.h>

#include "guest/image/bzimage.h"
#include "lib/base/cleanup.h"

#define LZ4_LEGACY_MAGIC_SIZE 4u
#define LZ4_LEGACY_BLOCK      (8u << 20) /* what one block holds at most, unpacked */
#define LZMA_MEMORY           (256u << 20)

/* All unpackers: fill out[0..room) from data[0..size); the bytes made, or negative. */

static ssize_t unpack_gzip(const uint8_t *data, size_t size, uint8_t *out, size_t room)
{
    z_stream stream = {
        .next_in = (Bytef *)data, .avail_in = (uInt)size, .next_out = out, .avail_out = (uInt)room};
    int status;

    if (inflateInit2(&stream, 16 + MAX_WBITS) != Z_OK)
        return -ENOMEM;
    status = inflate(&stream, Z_FINISH);
    (void)inflateEnd(&stream);
    return status == Z_STREAM_END ? (ssize_t)stream.total_out : -ENOEXEC;
}

static ssize_t unpack_lzma(const uint8_t *data, size_t size, uint8_t *out, size_t room)
{
    lzma_stream stream = LZMA_STREAM_INIT;
    ssize_t made;
    lzma_ret status;

    /* Tells .xz from the older .lzma by itself. */
    if (lzma_auto_decoder(&stream, LZMA_MEMORY, 0) != LZMA_OK)
        return -ENOMEM;
    stream.next_in = data;
    stream.avail_in = size;
    stream.next_out = out;
    stream.avail_out = room;
    do
        status = lzma_code(&stream, LZMA_RUN);
    while (status == LZMA_OK && stream.avail_out > 0 && stream.avail_in > 0);
    /* A stream that ends just as the output is full may not have been told to stop. */
    if (status == LZMA_OK && stream.avail_out == 0)
        status = lzma_code(&stream, LZMA_FINISH);
    made = status == LZMA_STREAM_END ? (ssize_t)stream.total_out : -ENOEXEC;
    lzma_end(&stream);
    return made;
}

static ssize_t unpack_zstd(const uint8_t *data, size_t size, uint8_t *out, size_t room)
{
    size_t frame = ZSTD_findFrameCompressedSize(data, size);
    size_t made;

    if (ZSTD_isError(frame))
        return -ENOEXEC;
    made = ZSTD_decompress(out, room, data, frame);
    return ZSTD_isError(made) ? -ENOEXEC : (ssize_t)made;
}

/* The legacy frame format: a magic number, then blocks, each after its 32-bit size. */
static ssize_t unpack_lz4(const uint8_t *data, size_t size, uint8_t *out, size_t room)
{
    size_t at = LZ4_LEGACY_MAGIC_SIZE, made = 0;

    while (made < room) {
        size_t left = room - made;
        uint32_t block;
        int got;

        if (size - at < 4)
            return -ENOEXEC;
        block = data[at] | (uint32_t)data[at + 1] << 8 | (uint32_t)data[at + 2] << 16 |
                (uint32_t)data[at + 3] << 24;
        at += 4;
        if (block == 0 || block > size - at)
            return -ENOEXEC;
        got = LZ4_decompress_safe((const char *)data + at, (char *)out + made, (int)block,
                                  (int)(left < LZ4_LEGACY_BLOCK ? left : LZ4_LEGACY_BLOCK));
        if (got <= 0)
            return -ENOEXEC;
        at += block;
        made += (size_t)got;
    }
    return (ssize_t)made;
}

static ssize_t unpack_plain(const uint8_t *data, size_t size, uint8_t *out, size_t room)
{
    if (size > room)
        return -ENOEXEC;
    memcpy(out, data, size);
    return (ssize_t)size;
}

int bzimage_unpack(const struct bzimage_payload *payload, uint8_t **elf, size_t *elf_size,
                   struct crosh_error *err)
{
    static const struct {
        const char *name;
        ssize_t (*unpack)(const uint8_t *data, size_t size, uint8_t *out, size_t room);
    } formats[] = {
        [BZIMAGE_GZIP] = {"gzip", unpack_gzip}, [BZIMAGE_XZ] = {"xz", unpack_lzma},
        [BZIMAGE_LZMA] = {"lzma", unpack_lzma}, [BZIMAGE_ZSTD] = {"zstd", unpack_zstd},
        [BZIMAGE_LZ4] = {"lz4", unpack_lz4},    [BZIMAGE_PLAIN] = {"plain", unpack_plain},
    };
    const size_t format = (size_t)payload->format;
    cleanup_free uint8_t *out = NULL;
    ssize_t made;

    if (payload->unpacked_size == 0)
        return crosh_error_set(err, -ENOEXEC, "damaged kernel image: claims an empty kernel");
    out = malloc(payload->unpacked_size);
    if (out == NULL)
        return crosh_error_set(err, -ENOMEM, "no memory for a kernel of %zu MiB",
                               payload->unpacked_size >> 20);
    made = formats[format].unpack(payload->data, payload->size, out, payload->unpacked_size);
    if (made == -ENOMEM)
        return crosh_error_set(err, -ENOMEM, "no memory to unpack the kernel");
    if (made < 0 || (size_t)made != payload->unpacked_size)
        return crosh_error_set(err, -ENOEXEC, "damaged kernel image: its %s data do not unpack",
                               formats[format].name);
    *elf = move_ptr(out);
    *elf_size = (size_t)made;
    return 0;
}

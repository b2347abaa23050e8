/* SPDX-License-Identifier: MIT */
/* Implements pcapng: blocks of 32-bit words in this machine's byte order. */
#include "modules/net/pcapng.h"

#include <string.h>

enum {
    BLOCK_SECTION = 0x0a0d0d0a,
    BLOCK_INTERFACE = 1,
    BLOCK_STATISTICS = 5,
    BLOCK_PACKET = 6,
    BYTE_ORDER_MAGIC = 0x1a2b3c4d,
    LINKTYPE_ETHERNET = 1,
};
enum {
    OPT_END = 0,
    OPT_USERAPPL = 4, /* of a section */
    OPT_IF_NAME = 2,
    OPT_IF_TSRESOL = 9,
    OPT_EPB_FLAGS = 2,
    OPT_ISB_IFRECV = 4,
    OPT_ISB_IFDROP = 5,
};
enum { FLAG_INBOUND = 1, FLAG_OUTBOUND = 2 };

#define NANOSECONDS 9 /* digits behind the point */
#define PADDED(n)   (((n) + 3u) & ~3u)

/* A block under construction, all but its packet's data. */
struct block {
    uint8_t data[256];
    uint32_t size;
};

static void put(struct block *block, const void *data, uint32_t size)
{
    memcpy(block->data + block->size, data, size);
    memset(block->data + block->size + size, 0, PADDED(size) - size);
    block->size += PADDED(size);
}

static void put32(struct block *block, uint32_t value)
{
    put(block, &value, sizeof(value));
}

static void put_option(struct block *block, uint16_t code, const void *data, uint16_t size)
{
    const uint16_t head[2] = {code, size};

    put(block, head, sizeof(head));
    put(block, data, size);
}

static void put_time(struct block *block, uint64_t time_ns)
{
    put32(block, (uint32_t)(time_ns >> 32));
    put32(block, (uint32_t)time_ns);
}

/* Writes the block: its type, its length before and behind what it holds; extra: its packet. */
static bool write_block(FILE *out, uint32_t type, const struct block *head, const uint8_t *extra,
                        uint32_t extra_size, const struct block *tail)
{
    static const uint8_t zero[3];
    uint32_t total = 12 + head->size + PADDED(extra_size) + (tail != NULL ? tail->size : 0);
    const uint32_t begin[2] = {type, total};

    return fwrite(begin, sizeof(begin), 1, out) == 1 &&
           fwrite(head->data, 1, head->size, out) == head->size &&
           fwrite(extra, 1, extra_size, out) == extra_size &&
           fwrite(zero, 1, PADDED(extra_size) - extra_size, out) ==
               PADDED(extra_size) - extra_size &&
           (tail == NULL || fwrite(tail->data, 1, tail->size, out) == tail->size) &&
           fwrite(&total, sizeof(total), 1, out) == 1;
}

bool pcapng_begin(FILE *out, const char *interface, uint32_t snap)
{
    static const char program[] = "crosh " PACKAGE_VERSION;
    const uint16_t version[2] = {1, 0}, link[2] = {LINKTYPE_ETHERNET, 0};
    const int64_t length = -1;
    const uint8_t resolution = NANOSECONDS;
    struct block section = {.size = 0}, description = {.size = 0};

    put32(&section, BYTE_ORDER_MAGIC);
    put(&section, version, sizeof(version));
    put(&section, &length, sizeof(length));
    put_option(&section, OPT_USERAPPL, program, sizeof(program) - 1);
    put_option(&section, OPT_END, NULL, 0);
    put(&description, link, sizeof(link));
    put32(&description, snap);
    put_option(&description, OPT_IF_NAME, interface, (uint16_t)strnlen(interface, 64));
    put_option(&description, OPT_IF_TSRESOL, &resolution, 1);
    put_option(&description, OPT_END, NULL, 0);
    return write_block(out, BLOCK_SECTION, &section, NULL, 0, NULL) &&
           write_block(out, BLOCK_INTERFACE, &description, NULL, 0, NULL);
}

bool pcapng_frame(FILE *out, uint64_t time_ns, const uint8_t *data, uint32_t size, uint32_t length,
                  bool is_to_vm)
{
    const uint32_t flags = is_to_vm ? FLAG_INBOUND : FLAG_OUTBOUND;
    struct block head = {.size = 0}, options = {.size = 0};

    put32(&head, 0);
    put_time(&head, time_ns);
    put32(&head, size);
    put32(&head, length);
    put_option(&options, OPT_EPB_FLAGS, &flags, sizeof(flags));
    put_option(&options, OPT_END, NULL, 0);
    return write_block(out, BLOCK_PACKET, &head, data, size, &options);
}

bool pcapng_end(FILE *out, uint64_t time_ns, uint64_t received, uint64_t dropped)
{
    struct block block = {.size = 0};

    put32(&block, 0);
    put_time(&block, time_ns);
    put_option(&block, OPT_ISB_IFRECV, &received, sizeof(received));
    put_option(&block, OPT_ISB_IFDROP, &dropped, sizeof(dropped));
    put_option(&block, OPT_END, NULL, 0);
    return write_block(out, BLOCK_STATISTICS, &block, NULL, 0, NULL);
}

/* SPDX-License-Identifier: MIT */
/* A snapshot's two files: "state", a checked header and protobuf, and "memory", raw and sparse. */
#ifndef KVM_SNAPSHOT_FORMAT_H
#define KVM_SNAPSHOT_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <crosh/error.h>

#include "lib/wire/snapshot.pb-c.h"

/*
 * state: struct snapshot_header, then a snapshot.Machine (snapshot.proto).
 * memory: the guest's memory, lowest address first, without the holes of the address
 * map; pages of zeroes are holes in the file. Behind it lies one page more, written
 * last: SNAPSHOT_MEMORY_MAGIC and the id that the state has, zeroes after them.
 * All numbers are little-endian.
 *
 * state has a checksum for each SNAPSHOT_CHUNK of the memory, which is not looked at when a VM
 * begins from it, as that would read all of it: CRC-32 (IEEE 802.3) of its pages that are not
 * zero, each behind its number in the memory (32 bits).
 *
 * The version changes with every change that an older or newer launcher would
 * misunderstand; there is no conversion, a snapshot is not an archive.
 */
#define SNAPSHOT_STATE_MAGIC  "crosh-vm state\n\0"
#define SNAPSHOT_MEMORY_MAGIC "crosh-vm memory\n"
#define SNAPSHOT_VERSION      1
#define SNAPSHOT_STATE_MAX    ((size_t)16 << 20)
#define SNAPSHOT_ID_BYTES     16
#define SNAPSHOT_PAGE         4096
#define SNAPSHOT_CHUNK        ((uint64_t)4 << 20)

struct snapshot_header {
    uint8_t magic[16];
    uint32_t version;
    uint32_t crc;  /* CRC-32 (IEEE 802.3) of what follows the header */
    uint64_t size; /* bytes that follow the header */
};

/* Writes the whole file into one allocation, owned by the caller. */
int snapshot_encode(const Snapshot__Machine *state, uint8_t **data, size_t *size,
                    struct crosh_error *err);
/*
 * Reads it back; *state is freed by snapshot__machine__free_unpacked(). The file is
 * not trusted: 0 says that it is whole and undamaged, and that the parts every machine
 * has are there, nothing more. -EINVAL no snapshot, -EPROTONOSUPPORT of another
 * version, -EBADMSG damaged or cut short.
 */
int snapshot_decode(const uint8_t *data, size_t size, Snapshot__Machine **state,
                    struct crosh_error *err);

/* Goes on with a chunk's checksum (0 at first) by a page at byte offset at of the memory. */
uint32_t snapshot_sum_page(uint32_t sum, uint64_t at, const uint8_t *page);
bool snapshot_page_is_zero(const uint8_t *page);

/* For those who fill messages: a copy that free_unpacked() frees. 0, or -ENOMEM. */
int snapshot_set_bytes(ProtobufCBinaryData *to, const void *data, size_t size);

/* Serialises devices' states into messages; a macro, as each message has a type of its own. */
#define SNAPSHOT_NEW(type, init)                                                                   \
    ({                                                                                             \
        type *new_message = malloc(sizeof(type));                                                  \
        if (new_message != NULL)                                                                   \
            init(new_message);                                                                     \
        new_message;                                                                               \
    })

#endif

/* SPDX-License-Identifier: MIT */
/* Implements the state file. */
#include "kvm/snapshot/format.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

_Static_assert(sizeof(SNAPSHOT_STATE_MAGIC) - 1 == 16, "the magic has its place");
_Static_assert(sizeof(SNAPSHOT_MEMORY_MAGIC) - 1 == 16, "the magic has its place");

static uint32_t crc32_of(const uint8_t *data, size_t size)
{
    return (uint32_t)crc32_z(0, data, size);
}

uint32_t snapshot_sum_page(uint32_t sum, uint64_t at, const uint8_t *page)
{
    uint32_t number = htole32((uint32_t)(at / SNAPSHOT_PAGE));

    sum = (uint32_t)crc32_z(sum, (const uint8_t *)&number, sizeof(number));
    return (uint32_t)crc32_z(sum, page, SNAPSHOT_PAGE);
}

bool snapshot_page_is_zero(const uint8_t *page)
{
    uint64_t word;

    memcpy(&word, page, sizeof(word));
    return word == 0 && memcmp(page, page + sizeof(word), SNAPSHOT_PAGE - sizeof(word)) == 0;
}

int snapshot_set_bytes(ProtobufCBinaryData *to, const void *data, size_t size)
{
    if (size == 0)
        return 0;
    to->data = malloc(size);
    if (to->data == NULL)
        return -ENOMEM;
    memcpy(to->data, data, size);
    to->len = size;
    return 0;
}

int snapshot_encode(const Snapshot__Machine *state, uint8_t **data, size_t *size,
                    struct crosh_error *err)
{
    size_t packed = snapshot__machine__get_packed_size(state);
    struct snapshot_header header = {.version = htole32(SNAPSHOT_VERSION), .size = htole64(packed)};
    uint8_t *file;

    if (packed > SNAPSHOT_STATE_MAX - sizeof(header))
        return crosh_error_set(err, -EFBIG, "the machine's state is too large for a snapshot");
    file = malloc(sizeof(header) + packed);
    if (file == NULL)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    (void)snapshot__machine__pack(state, file + sizeof(header));
    memcpy(header.magic, SNAPSHOT_STATE_MAGIC, sizeof(header.magic));
    header.crc = htole32(crc32_of(file + sizeof(header), packed));
    memcpy(file, &header, sizeof(header));
    *data = file;
    *size = sizeof(header) + packed;
    return 0;
}

/* Every machine has these; what is inside them is judged by those who use it. */
static bool is_complete(const Snapshot__Machine *state)
{
    return state->id.len == SNAPSHOT_ID_BYTES && state->config != NULL && state->serial != NULL;
}

int snapshot_decode(const uint8_t *data, size_t size, Snapshot__Machine **state,
                    struct crosh_error *err)
{
    struct snapshot_header header;
    Snapshot__Machine *machine;

    if (size < sizeof(header) || memcmp(data, SNAPSHOT_STATE_MAGIC, sizeof(header.magic)) != 0)
        return crosh_error_set(err, -EINVAL, "it is no snapshot of a VM");
    memcpy(&header, data, sizeof(header));
    if (le32toh(header.version) != SNAPSHOT_VERSION)
        return crosh_error_set(err, -EPROTONOSUPPORT,
                               "it has format %u, and this crosh-vm reads format %d only",
                               le32toh(header.version), SNAPSHOT_VERSION);
    if (le64toh(header.size) != size - sizeof(header))
        return crosh_error_set(err, -EBADMSG, "its state is incomplete");
    if (le32toh(header.crc) != crc32_of(data + sizeof(header), size - sizeof(header)))
        return crosh_error_set(err, -EBADMSG, "its state is damaged");
    machine = snapshot__machine__unpack(NULL, size - sizeof(header), data + sizeof(header));
    if (machine == NULL || !is_complete(machine)) {
        if (machine != NULL)
            snapshot__machine__free_unpacked(machine, NULL);
        return crosh_error_set(err, -EBADMSG, "its state makes no sense");
    }
    *state = machine;
    return 0;
}

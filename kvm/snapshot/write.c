/* SPDX-License-Identifier: MIT */
/* Writes a snapshot's two files through descriptors that somebody else opened. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kvm/snapshot/format.h"
#include "kvm/snapshot/snapshot.h"
#include "lib/base/cleanup.h"

/* How much is looked at before the loop's other work gets its turn. */
#define TURN_BYTES ((uint64_t)16 << 20)

static int write_at(int fd, const void *data, size_t size, uint64_t at, struct crosh_error *err)
{
    const uint8_t *bytes = data;

    while (size > 0) {
        ssize_t n = pwrite(fd, bytes, size, (off_t)at);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return crosh_error_errno(err, "writing the snapshot");
        bytes += n;
        size -= (size_t)n;
        at += (uint64_t)n;
    }
    return 0;
}

/* Writes the pages of [from, from + size) that are not zero, as long runs as there are. */
static int write_run(struct snapshot_writer *writer, const uint8_t *from, uint64_t size,
                     struct crosh_error *err)
{
    uint64_t start = 0, end;

    while (start < size) {
        while (start < size && snapshot_page_is_zero(from + start))
            start += SNAPSHOT_PAGE;
        for (end = start; end < size && !snapshot_page_is_zero(from + end); end += SNAPSHOT_PAGE) {
            uint64_t at = writer->at + end;
            uint32_t *sum = &writer->sum[at / SNAPSHOT_CHUNK];

            *sum = snapshot_sum_page(*sum, at, from + end);
        }
        if (end > start &&
            write_at(writer->fd, from + start, end - start, writer->at + start, err) < 0)
            return err->code;
        start = end;
    }
    return 0;
}

/* Room for the checksums, before the first of them. */
static int make_sums(struct snapshot_writer *writer, struct crosh_error *err)
{
    uint64_t bytes = 0;

    for (unsigned int i = 0; i < writer->memory->count; i++)
        bytes += writer->memory->region[i].size;
    writer->sum_count = (size_t)((bytes + SNAPSHOT_CHUNK - 1) / SNAPSHOT_CHUNK);
    writer->sum = calloc(writer->sum_count, sizeof(*writer->sum));
    return writer->sum != NULL ? 0 : crosh_error_set(err, -ENOMEM, "out of memory");
}

int snapshot_write_memory(struct snapshot_writer *writer, struct crosh_error *err)
{
    const struct guest_memory *memory = writer->memory;
    uint64_t left = TURN_BYTES;

    if (writer->sum == NULL && make_sums(writer, err) < 0)
        return err->code;
    while (left > 0 && writer->region < memory->count) {
        const struct guest_memory_region *region = &memory->region[writer->region];
        uint64_t size = region->size - writer->offset;

        if (size > left)
            size = left;
        if (write_run(writer, region->host + writer->offset, size, err) < 0)
            return err->code;
        left -= size;
        writer->at += size;
        writer->offset += size;
        if (writer->offset == region->size) {
            writer->region++;
            writer->offset = 0;
        }
    }
    return writer->region < memory->count;
}

static int make_durable(int fd, struct crosh_error *err)
{
    return fdatasync(fd) < 0 ? crosh_error_errno(err, "writing the snapshot") : 0;
}

int snapshot_finish_memory(struct snapshot_writer *writer, Snapshot__Machine *state,
                           struct crosh_error *err)
{
    uint8_t page[SNAPSHOT_PAGE] = {0};
    int code;

    memcpy(page, SNAPSHOT_MEMORY_MAGIC, SNAPSHOT_ID_BYTES);
    memcpy(page + SNAPSHOT_ID_BYTES, state->id.data, SNAPSHOT_ID_BYTES);
    /* Not before the rest is on the disk: its presence says so. */
    code = make_durable(writer->fd, err);
    if (code == 0)
        code = write_at(writer->fd, page, sizeof(page), writer->at, err);
    state->n_memory_sums = writer->sum_count;
    state->memory_sums = move_ptr(writer->sum);
    return code < 0 ? code : make_durable(writer->fd, err);
}

void snapshot_writer_fini(struct snapshot_writer *writer)
{
    free(writer->sum);
    writer->sum = NULL;
}

int snapshot_write_state(int fd, const Snapshot__Machine *state, struct crosh_error *err)
{
    cleanup_free uint8_t *data = NULL;
    size_t size;
    int code = snapshot_encode(state, &data, &size, err);

    if (code == 0)
        code = write_at(fd, data, size, 0, err);
    return code < 0 ? code : make_durable(fd, err);
}

/* SPDX-License-Identifier: MIT */
/* Compares the whole of a snapshot with its checksums. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#include "kvm/snapshot/format.h"
#include "kvm/snapshot/load.h"
#include "kvm/snapshot/snapshot.h"
#include "lib/base/cleanup.h"

/* The checksum of size bytes at at, as it is in the file; buffer holds as many. */
static int sum_chunk(int fd, uint64_t at, size_t size, uint8_t *buffer, uint32_t *sum,
                     struct crosh_error *err)
{
    off_t data = lseek(fd, (off_t)at, SEEK_DATA);

    *sum = 0;
    /* Nothing but a hole, where the file system can tell. */
    if (data >= (off_t)(at + size))
        return 0;
    if (snapshot_read_at(fd, buffer, size, (off_t)at) < 0)
        return crosh_error_errno(err, SNAPSHOT_MEMORY_FILE);
    for (size_t i = 0; i < size; i += SNAPSHOT_PAGE)
        if (!snapshot_page_is_zero(buffer + i))
            *sum = snapshot_sum_page(*sum, at + i, buffer + i);
    return 0;
}

static int verify_memory(int fd, const Snapshot__Machine *state, struct crosh_error *err)
{
    uint64_t bytes = state->config->memory_bytes;
    cleanup_free uint8_t *buffer = malloc(SNAPSHOT_CHUNK);

    if (buffer == NULL)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    if (state->n_memory_sums != (bytes + SNAPSHOT_CHUNK - 1) / SNAPSHOT_CHUNK)
        return crosh_error_set(err, -EBADMSG, "it has no checksums of its memory");
    for (size_t i = 0; i < state->n_memory_sums; i++) {
        uint64_t at = i * SNAPSHOT_CHUNK;
        size_t size = (size_t)(bytes - at < SNAPSHOT_CHUNK ? bytes - at : SNAPSHOT_CHUNK);
        uint32_t sum;

        if (sum_chunk(fd, at, size, buffer, &sum, err) < 0)
            return err->code;
        if (sum != state->memory_sums[i])
            return crosh_error_set(err, -EBADMSG,
                                   "its memory is damaged, between the bytes %" PRIu64
                                   " and %" PRIu64 " of the file",
                                   at, at + size);
    }
    return 0;
}

int snapshot_verify(const char *path, struct crosh_error *err)
{
    struct snapshot snapshot = {.path = path, .memory_fd = -1};
    int code = snapshot_open(&snapshot, path, err);

    if (code == 0)
        code = verify_memory(snapshot.memory_fd, snapshot.state, err);
    snapshot_unload(&snapshot);
    return code < 0 ? crosh_error_wrap(err, "snapshot %s", path) : 0;
}

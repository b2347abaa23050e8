/* SPDX-License-Identifier: MIT */
/* Compares copies with their sources, and tells what an interrupted one can go on with. */
#include <errno.h>

#include "lib/base/sha256.h"
#include "lib/files/files.h"
#include "modules/sftp/transfer-internal.h"

/* Where there are no checksums: how far back a copy begins again, and what it looks at. */
#define RESUME_BACK (16u * 1024u * 1024u)
#define SAMPLE      (256u * 1024u)

int transfer_matches(struct transfer *transfer, const char *there, int fd, uint64_t size)
{
    /* For what is small another shell is slower than the contents. */
    int r = size < FILES_RESUME_MIN ? -EOPNOTSUPP
                                    : checker_sums_match(transfer->checker, there, fd, size);

    return r != -EOPNOTSUPP ? r
                            : checker_bytes_match(transfer->client, there, fd, 0, size,
                                                  transfer_is_stopped, transfer);
}

uint32_t transfer_mark(uint64_t size, const struct timespec *mtime)
{
    const uint64_t facts[] = {size, (uint64_t)mtime->tv_sec, (uint64_t)mtime->tv_nsec};
    uint8_t digest[SHA256_SIZE];
    struct sha256 sha;

    sha256_init(&sha);
    sha256_add(&sha, facts, sizeof(facts));
    sha256_finish(&sha, digest);
    /* Some file systems have no times behind 2038. */
    return (digest[0] & 0x7fu) << 24 | (uint32_t)digest[1] << 16 | (uint32_t)digest[2] << 8 |
           digest[3];
}

uint64_t transfer_resume_at(struct transfer *transfer, const char *there, int fd, uint64_t have,
                            bool is_marked)
{
    int r = checker_sums_match(transfer->checker, there, fd, have);
    uint64_t at;

    if (r >= 0)
        return r > 0 ? have : 0;
    /* Pieces may have been written in another order, and the last ones not at all. */
    if (!is_marked || have <= RESUME_BACK)
        return 0;
    at = have - RESUME_BACK;
    r = checker_bytes_match(transfer->client, there, fd, 0, at < SAMPLE ? at : SAMPLE,
                            transfer_is_stopped, transfer);
    if (r > 0)
        r = checker_bytes_match(transfer->client, there, fd, at < SAMPLE ? 0 : at - SAMPLE, at,
                                transfer_is_stopped, transfer);
    return r > 0 ? at : 0;
}

/* SPDX-License-Identifier: MIT */
/* Compares files here with files at a server. */
#ifndef SFTP_CHECKER_H
#define SFTP_CHECKER_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/sha256.h"
#include "modules/sftp/where.h"

struct checker;

/* where must stay. is_stopped may end what is asked with -ECANCELED. NULL: out of memory. */
struct checker *checker_new(const struct sftp_where *where, int timeout_ms,
                            bool (*is_stopped)(void *opaque), void *opaque);
/* Accepts NULL. */
void checker_free(struct checker *checker);

/*
 * Whether the first size bytes of the file at the absolute path are those of fd: by checksums
 * that the server's own sha256sum makes, asked of a shell there, which is started at the first
 * call. 1, 0, -EOPNOTSUPP when the server has no way to tell, or another negative errno.
 * Any thread; one at a time, the others wait.
 */
int checker_sums_match(struct checker *checker, const char *path, int fd, uint64_t size);

/*
 * The same by reading the range from offset up to end at the server. is_stopped may end it with
 * -ECANCELED.
 */
int checker_bytes_match(struct sftp_client *client, const char *path, int fd, uint64_t offset,
                        uint64_t end, bool (*is_stopped)(void *opaque), void *opaque);

#endif

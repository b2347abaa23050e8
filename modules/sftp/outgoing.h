/* SPDX-License-Identifier: MIT */
/* The bytes that wait to be sent on a link: short ones copied, long ones where they are. */
#ifndef SFTP_OUTGOING_H
#define SFTP_OUTGOING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes that are sent from where they are. All zero: nothing waits. */
struct outgoing_lent {
    struct outgoing_lent *next;
    const uint8_t *data;
    atomic_size_t size; /* not sent yet */
    uint64_t at;        /* how many copied bytes go before, since the beginning */
};

/* All zero: empty. Whose it is locks it, but for outgoing_lent_size(). */
struct outgoing {
    uint8_t *bytes; /* copied */
    size_t start, end, capacity;
    uint64_t passed; /* copied bytes that are sent */
    struct outgoing_lent *lent, *last_lent;
    size_t size; /* of all that waits */
};

/* False: no memory, with nothing appended. */
bool outgoing_copy(struct outgoing *outgoing, const void *data, size_t size);
/*
 * Appends bytes that stay where they are until all are sent, or the queue is used no more;
 * so does *lent.
 */
void outgoing_lend(struct outgoing *outgoing, struct outgoing_lent *lent, const void *data,
                   size_t size);
/* How many of them are not sent yet. Any thread may ask. */
size_t outgoing_lent_size(const struct outgoing_lent *lent);
/* What is to be sent next, and as much of it as stands in one place; 0 when nothing waits. */
const uint8_t *outgoing_next(const struct outgoing *outgoing, size_t *size);
/* So much of that is sent. */
void outgoing_pass(struct outgoing *outgoing, size_t size);
/* Frees what was copied. */
void outgoing_fini(struct outgoing *outgoing);

#endif

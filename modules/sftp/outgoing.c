/* SPDX-License-Identifier: MIT */
/* Queues what is to be sent, without copying what is long. */
#include "modules/sftp/outgoing.h"

#include <stdlib.h>
#include <string.h>

bool outgoing_copy(struct outgoing *outgoing, const void *data, size_t size)
{
    if (outgoing->start == outgoing->end)
        outgoing->start = outgoing->end = 0;
    if (outgoing->capacity - outgoing->end < size && outgoing->start > 0) {
        memmove(outgoing->bytes, outgoing->bytes + outgoing->start,
                outgoing->end - outgoing->start);
        outgoing->end -= outgoing->start;
        outgoing->start = 0;
    }
    if (outgoing->capacity - outgoing->end < size) {
        size_t capacity = outgoing->end + size + outgoing->capacity / 2;
        uint8_t *bytes = realloc(outgoing->bytes, capacity);

        if (bytes == NULL)
            return false;
        outgoing->bytes = bytes;
        outgoing->capacity = capacity;
    }
    memcpy(outgoing->bytes + outgoing->end, data, size);
    outgoing->end += size;
    outgoing->size += size;
    return true;
}

void outgoing_lend(struct outgoing *outgoing, struct outgoing_lent *lent, const void *data,
                   size_t size)
{
    lent->next = NULL;
    lent->data = data;
    atomic_store(&lent->size, size);
    lent->at = outgoing->passed + (outgoing->end - outgoing->start);
    if (outgoing->lent == NULL)
        outgoing->lent = lent;
    else
        outgoing->last_lent->next = lent;
    outgoing->last_lent = lent;
    outgoing->size += size;
}

size_t outgoing_lent_size(const struct outgoing_lent *lent)
{
    return atomic_load(&lent->size);
}

const uint8_t *outgoing_next(const struct outgoing *outgoing, size_t *size)
{
    const struct outgoing_lent *lent = outgoing->lent;

    if (lent != NULL && lent->at == outgoing->passed) {
        *size = lent->size;
        return lent->data;
    }
    *size = lent != NULL ? (size_t)(lent->at - outgoing->passed) : outgoing->end - outgoing->start;
    return outgoing->bytes + outgoing->start;
}

void outgoing_pass(struct outgoing *outgoing, size_t size)
{
    struct outgoing_lent *lent = outgoing->lent;

    outgoing->size -= size;
    if (lent == NULL || lent->at != outgoing->passed) {
        outgoing->start += size;
        outgoing->passed += size;
        return;
    }
    lent->data += size;
    /* Sent, it may be used for something else at once. */
    if (outgoing_lent_size(lent) == size)
        outgoing->lent = lent->next;
    atomic_fetch_sub(&lent->size, size);
}

void outgoing_fini(struct outgoing *outgoing)
{
    free(outgoing->bytes);
    *outgoing = (struct outgoing){0};
}

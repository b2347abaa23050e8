/* SPDX-License-Identifier: MIT */
/* Bounded queues of bytes on their way to a non-blocking descriptor. */
#include "lib/wire/frame-queue.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/wire/frame.h"

void byte_queue_init(struct byte_queue *queue, size_t limit)
{
    *queue = (struct byte_queue){.limit = limit};
}

void byte_queue_fini(struct byte_queue *queue)
{
    free(queue->data);
    *queue = (struct byte_queue){0};
}

size_t byte_queue_size(const struct byte_queue *queue)
{
    return queue->used - queue->start;
}

const uint8_t *byte_queue_front(const struct byte_queue *queue)
{
    static const uint8_t nothing[1];

    return queue->data != NULL ? queue->data + queue->start : nothing;
}

bool byte_queue_is_full(const struct byte_queue *queue)
{
    return byte_queue_size(queue) >= queue->limit;
}

void byte_queue_clear(struct byte_queue *queue)
{
    queue->start = 0;
    queue->used = 0;
}

int byte_queue_add(struct byte_queue *queue, const void *data, size_t size)
{
    if (size == 0)
        return 0;
    if (size > queue->allocated - queue->used && queue->start > 0) {
        queue->used -= queue->start;
        memmove(queue->data, queue->data + queue->start, queue->used);
        queue->start = 0;
    }
    if (size > queue->allocated - queue->used) {
        size_t wanted = queue->used + size;
        uint8_t *grown;

        if (wanted < queue->allocated * 2)
            wanted = queue->allocated * 2;
        grown = realloc(queue->data, wanted);
        if (grown == NULL)
            return -ENOMEM;
        queue->data = grown;
        queue->allocated = wanted;
    }
    memcpy(queue->data + queue->used, data, size);
    queue->used += size;
    return 0;
}

int byte_queue_add_message(struct byte_queue *queue, const ProtobufCMessage *message)
{
    cleanup_free uint8_t *frame = NULL;
    size_t size = 0;
    int r = frame_pack(message, &frame, &size);

    return r < 0 ? r : byte_queue_add(queue, frame, size);
}

int byte_queue_flush(struct byte_queue *queue, int fd)
{
    while (queue->start < queue->used) {
        ssize_t n = send(fd, queue->data + queue->start, queue->used - queue->start, MSG_NOSIGNAL);

        if (n < 0 && errno == ENOTSOCK)
            n = write(fd, queue->data + queue->start, queue->used - queue->start);
        if (n < 0) {
            if (errno == EINTR)
                continue;
            return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -errno;
        }
        queue->start += (size_t)n;
    }
    byte_queue_clear(queue);
    return 0;
}

/* SPDX-License-Identifier: MIT */
/* Bounded queues of bytes on their way to a non-blocking descriptor: frames, or a stream's data. */
#ifndef CROSH_WIRE_FRAME_QUEUE_H
#define CROSH_WIRE_FRAME_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <protobuf-c/protobuf-c.h>

/*
 * The limit is advice that the producer asks for with byte_queue_is_full() before
 * it makes more: what was added is never refused but for lack of memory, so one
 * message may go beyond it.
 */
struct byte_queue {
    uint8_t *data;
    size_t start;
    size_t used;
    size_t allocated;
    size_t limit;
};

void byte_queue_init(struct byte_queue *queue, size_t limit);
void byte_queue_fini(struct byte_queue *queue);

/* How many bytes wait. */
size_t byte_queue_size(const struct byte_queue *queue);
bool byte_queue_is_full(const struct byte_queue *queue);

/* 0 or -ENOMEM. */
int byte_queue_add(struct byte_queue *queue, const void *data, size_t size);
/* Adds a framed message. 0, -ENOMEM, or -EMSGSIZE beyond FRAME_MAX. */
int byte_queue_add_message(struct byte_queue *queue, const ProtobufCMessage *message);

/* What waits, byte_queue_size() bytes of it; valid until the next call. Never NULL. */
const uint8_t *byte_queue_front(const struct byte_queue *queue);

/* Forgets what waits. */
void byte_queue_clear(struct byte_queue *queue);

/*
 * Writes until the queue is empty or the descriptor takes no more. 0 (also when
 * some is left over), or negative errno (-EPIPE; no signal from sockets).
 */
int byte_queue_flush(struct byte_queue *queue, int fd);

#endif

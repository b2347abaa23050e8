/* SPDX-License-Identifier: MIT */
/* A framed protobuf stream on the event loop, bounded both ways: a control client, the guest link.
 */
#ifndef KVM_CONTROL_FRAMED_STREAM_H
#define KVM_CONTROL_FRAMED_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <protobuf-c/protobuf-c.h>

#include "kvm/event-loop.h"

struct framed_stream;

struct framed_stream_ops {
    /* One whole frame. Returning negative ends the stream (then closed() follows). */
    int (*frame)(void *opaque, const uint8_t *data, size_t size);
    /* The peer left, broke the framing, or does not read what it is sent. Called once, from the
       loop and never from within a call of the owner's; the owner frees the stream here or later.
     */
    void (*closed)(void *opaque);
};

/* Owns fd from here on, also when it fails (NULL). frame_max: bytes of the largest frame accepted.
 */
struct framed_stream *framed_stream_new(struct event_loop *loop, int fd, size_t frame_max,
                                        const struct framed_stream_ops *ops, void *opaque);
/* Accepts NULL. */
void framed_stream_free(struct framed_stream *stream);

/* From now on descriptors that the peer passes are kept: at most FRAME_FDS_MAX that nobody took,
   more end the stream. Otherwise they are closed unseen. */
void framed_stream_accept_fds(struct framed_stream *stream);
/* Takes the descriptor that came first; the caller owns it. -1: there is none. */
int framed_stream_take_fd(struct framed_stream *stream);

/* While held, no frame is handed over and nothing is read; what is sent still goes out. */
void framed_stream_hold(struct framed_stream *stream, bool held);

/* Queues a message and sends what the socket takes; a peer that leaves more than 1 MiB unread is
   dropped. */
void framed_stream_send(struct framed_stream *stream, const ProtobufCMessage *message);

#endif

/* SPDX-License-Identifier: MIT */
/* Frames: every crosh protocol is a sequence of u32 little-endian length + protobuf message. */
#ifndef CROSH_WIRE_FRAME_H
#define CROSH_WIRE_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <protobuf-c/protobuf-c.h>

#include <crosh/error.h>

#include "lib/base/fd-pass.h"

/* What ChromeOS's ends send and accept at most; what ours accepts at most. */
#define FRAME_COMPAT_MAX 4096u
#define FRAME_DATA_MAX   4000u /* payload of one DataMessage within FRAME_COMPAT_MAX */
#define FRAME_MAX        (256u * 1024u)

/*
 * Incremental reader for non-blocking descriptors. Holds at most one frame of
 * frame_max bytes: a longer announced length is -EMSGSIZE before any allocation.
 */
struct frame_reader {
    uint8_t *buffer;
    size_t start; /* bytes at the front that frame_reader_next() has handed out */
    size_t used;
    size_t allocated;
    size_t frame_max;
};

/* frame_max: bytes of a message without its header; values beyond FRAME_MAX mean FRAME_MAX. */
void frame_reader_init(struct frame_reader *reader, size_t frame_max);
void frame_reader_fini(struct frame_reader *reader);

/*
 * Reads once from fd (at most one read(2)). 1: something was read, call
 * frame_reader_next() until it yields 0; 0: end of file; -EAGAIN; -ENOBUFS while whole
 * frames fill the buffer; -EMSGSIZE; other negative errno.
 */
int frame_reader_fill(struct frame_reader *reader, int fd);

/* Descriptors that came along with bytes of a unix socket; who has them closes them. */
#define FRAME_FDS_MAX FD_PASS_MAX

struct frame_fds {
    size_t count;
    int fd[FRAME_FDS_MAX]; /* -1: taken out */
};

/*
 * As frame_reader_fill(), from a unix socket whose peer may pass descriptors: fds
 * (whatever was in it is forgotten) gets those that came with this read, close-on-exec.
 * Those sent with a frame's first byte come at the latest with that byte, and may come
 * with bytes of frames before it. -EPROTO, with all closed, for more than FRAME_FDS_MAX.
 */
int frame_reader_fill_fds(struct frame_reader *reader, int fd, struct frame_fds *fds);
/* Closes those that were not taken out. */
void frame_fds_close(struct frame_fds *fds);

/*
 * Takes the next whole frame out of the buffer: 1 with *data (valid until the
 * next call on this reader) and *size (0 is a valid message); 0: not complete
 * yet; -EMSGSIZE.
 */
int frame_reader_next(struct frame_reader *reader, const uint8_t **data, size_t *size);

/*
 * What was read behind the frames that were handed out, valid until the next call: it is
 * no frame's where a stream goes on as plain bytes. The count.
 */
size_t frame_reader_rest(const struct frame_reader *reader, const uint8_t **data);

/* Whether a frame has begun to arrive and is not whole: an end of file now cuts it short. */
bool frame_reader_is_partial(const struct frame_reader *reader);

/*
 * Packs message behind its length header into a new heap buffer of *size bytes.
 * -EMSGSIZE beyond FRAME_MAX, -ENOMEM.
 */
int frame_pack(const ProtobufCMessage *message, uint8_t **frame, size_t *size);

/* Blocking: writes one framed message whole. 0 or negative errno (-EPIPE without the signal). */
int frame_send(int fd, const ProtobufCMessage *message);

/*
 * Blocking: reads one frame whole and unpacks it into *message, to be freed with
 * protobuf_c_message_free_unpacked(). 1; 0 at end of file between frames;
 * -EBADMSG for what does not decode or is cut short; -EMSGSIZE; -ETIMEDOUT when
 * nothing complete came within timeout_ms (-1: no limit); negative errno.
 */
int frame_recv(int fd, const ProtobufCMessageDescriptor *type, size_t frame_max, int timeout_ms,
               ProtobufCMessage **message);

#endif

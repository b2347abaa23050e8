/* SPDX-License-Identifier: MIT */
/* Frames: length-prefixed protobuf messages, read incrementally or whole. */
#include "lib/wire/frame.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/base/deadline.h"
#include "lib/base/fd-pass.h"

#define HEADER_SIZE 4u

/* Room asked of one read(2) beyond what the current frame still lacks. */
#define READ_AHEAD 4096u

static uint32_t get_le32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static void put_le32(uint8_t *p, uint32_t value)
{
    p[0] = (uint8_t)value;
    p[1] = (uint8_t)(value >> 8);
    p[2] = (uint8_t)(value >> 16);
    p[3] = (uint8_t)(value >> 24);
}

void frame_reader_init(struct frame_reader *reader, size_t frame_max)
{
    *reader = (struct frame_reader){.frame_max = frame_max < FRAME_MAX ? frame_max : FRAME_MAX};
}

void frame_reader_fini(struct frame_reader *reader)
{
    free(reader->buffer);
    *reader = (struct frame_reader){0};
}

/* The announced length of the frame at the front, or -1 while its header is not whole. */
static int64_t announced(const struct frame_reader *reader)
{
    if (reader->used - reader->start < HEADER_SIZE)
        return -1;
    return get_le32(reader->buffer + reader->start);
}

/* Makes room for the rest of the frame at the front and some more behind it. */
static int make_room(struct frame_reader *reader)
{
    size_t limit = HEADER_SIZE + reader->frame_max;
    size_t wanted = READ_AHEAD;
    int64_t length;
    uint8_t *grown;

    if (reader->start > 0) {
        reader->used -= reader->start;
        memmove(reader->buffer, reader->buffer + reader->start, reader->used);
        reader->start = 0;
    }
    length = announced(reader);
    if (length > (int64_t)reader->frame_max)
        return -EMSGSIZE;
    if (length >= 0 && HEADER_SIZE + (size_t)length > wanted)
        wanted = HEADER_SIZE + (size_t)length;
    if (wanted > limit)
        wanted = limit;
    if (wanted > reader->allocated) {
        grown = realloc(reader->buffer, wanted);
        if (grown == NULL)
            return -ENOMEM;
        reader->buffer = grown;
        reader->allocated = wanted;
    }
    return reader->used < reader->allocated ? 0 : -ENOBUFS;
}

int frame_reader_fill(struct frame_reader *reader, int fd)
{
    int r = make_room(reader);
    ssize_t n;

    if (r < 0)
        return r;
    do {
        n = read(fd, reader->buffer + reader->used, reader->allocated - reader->used);
    } while (n < 0 && errno == EINTR);
    if (n < 0)
        return errno == EWOULDBLOCK ? -EAGAIN : -errno;
    reader->used += (size_t)n;
    return n > 0;
}

int frame_reader_fill_fds(struct frame_reader *reader, int fd, struct frame_fds *fds)
{
    int r = make_room(reader);
    ssize_t n;

    fds->count = 0;
    if (r < 0)
        return r;
    n = fd_pass_receive(fd, reader->buffer + reader->used, reader->allocated - reader->used,
                        fds->fd, FRAME_FDS_MAX, &fds->count, MSG_DONTWAIT);
    if (n < 0) {
        frame_fds_close(fds);
        return (int)n;
    }
    reader->used += (size_t)n;
    return n > 0;
}

void frame_fds_close(struct frame_fds *fds)
{
    for (size_t i = 0; i < fds->count; i++)
        if (fds->fd[i] >= 0)
            (void)close(fds->fd[i]);
    fds->count = 0;
}

int frame_reader_next(struct frame_reader *reader, const uint8_t **data, size_t *size)
{
    int64_t length = announced(reader);

    if (length < 0)
        return 0;
    if (length > (int64_t)reader->frame_max)
        return -EMSGSIZE;
    if (reader->used - reader->start - HEADER_SIZE < (size_t)length)
        return 0;
    *data = reader->buffer + reader->start + HEADER_SIZE;
    *size = (size_t)length;
    reader->start += HEADER_SIZE + (size_t)length;
    return 1;
}

size_t frame_reader_rest(const struct frame_reader *reader, const uint8_t **data)
{
    *data = reader->buffer != NULL ? reader->buffer + reader->start : NULL;
    return reader->used - reader->start;
}

bool frame_reader_is_partial(const struct frame_reader *reader)
{
    return reader->used > reader->start;
}

int frame_pack(const ProtobufCMessage *message, uint8_t **frame, size_t *size)
{
    size_t length = protobuf_c_message_get_packed_size(message);
    uint8_t *out;

    if (length > FRAME_MAX)
        return -EMSGSIZE;
    out = malloc(HEADER_SIZE + length);
    if (out == NULL)
        return -ENOMEM;
    put_le32(out, (uint32_t)length);
    protobuf_c_message_pack(message, out + HEADER_SIZE);
    *frame = out;
    *size = HEADER_SIZE + length;
    return 0;
}

/* Sockets are written without raising SIGPIPE; other descriptors as they are. */
static ssize_t write_quietly(int fd, const uint8_t *data, size_t size)
{
    ssize_t n = send(fd, data, size, MSG_NOSIGNAL);

    if (n < 0 && errno == ENOTSOCK)
        n = write(fd, data, size);
    return n;
}

int frame_send(int fd, const ProtobufCMessage *message)
{
    cleanup_free uint8_t *frame = NULL;
    size_t size;
    size_t done = 0;
    int r = frame_pack(message, &frame, &size);

    if (r < 0)
        return r;
    while (done < size) {
        ssize_t n = write_quietly(fd, frame + done, size - done);

        if (n >= 0) {
            done += (size_t)n;
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            r = deadline_poll(fd, POLLOUT, DEADLINE_NEVER);
            if (r < 0)
                return r;
        } else if (errno != EINTR) {
            return -errno;
        }
    }
    return 0;
}

/* Reads size bytes; the count is smaller only at the end of the file. Negative errno. */
static ssize_t read_whole(int fd, uint8_t *data, size_t size, int64_t deadline)
{
    size_t done = 0;

    while (done < size) {
        ssize_t n;
        int r = deadline_poll(fd, POLLIN, deadline);

        if (r < 0)
            return r;
        n = read(fd, data + done, size - done);
        if (n == 0)
            break;
        if (n > 0)
            done += (size_t)n;
        else if (errno != EINTR && errno != EAGAIN && errno != EWOULDBLOCK)
            return -errno;
    }
    return (ssize_t)done;
}

int frame_recv(int fd, const ProtobufCMessageDescriptor *type, size_t frame_max, int timeout_ms,
               ProtobufCMessage **message)
{
    const int64_t deadline = deadline_in(timeout_ms);
    cleanup_free uint8_t *data = NULL;
    uint8_t header[HEADER_SIZE];
    uint32_t length;
    ssize_t n = read_whole(fd, header, sizeof(header), deadline);

    if (n <= 0)
        return (int)n;
    if (n < (ssize_t)sizeof(header))
        return -EBADMSG;
    length = get_le32(header);
    if (length > frame_max || length > FRAME_MAX)
        return -EMSGSIZE;
    data = malloc(length > 0 ? length : 1);
    if (data == NULL)
        return -ENOMEM;
    n = read_whole(fd, data, length, deadline);
    if (n < 0)
        return (int)n;
    if ((size_t)n < length)
        return -EBADMSG;
    *message = protobuf_c_message_unpack(type, NULL, length, data);
    return *message != NULL ? 1 : -EBADMSG;
}

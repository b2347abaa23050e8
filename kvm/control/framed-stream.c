/* SPDX-License-Identifier: MIT */
/* Implements framed protobuf streams on the event loop. */
#include "kvm/control/framed-stream.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/wire/frame.h"

#define OUTPUT_MAX (1024u * 1024u)

struct framed_stream {
    const struct framed_stream_ops *ops;
    void *opaque;
    struct event_source *source;
    struct event_source *closer; /* reports the end from the loop, not from the owner's own call */
    struct frame_reader reader;
    uint8_t *output;
    size_t output_size;
    int fd;
    bool dead;
};

static void stream_die(struct framed_stream *stream)
{
    if (stream->dead)
        return;
    stream->dead = true;
    event_modify(stream->source, 0);
    event_timer_set(stream->closer, 0);
}

static void on_close_due(void *opaque)
{
    struct framed_stream *stream = opaque;

    stream->ops->closed(stream->opaque);
}

static void stream_flush(struct framed_stream *stream)
{
    size_t sent = 0;

    while (sent < stream->output_size) {
        ssize_t n = send(stream->fd, stream->output + sent, stream->output_size - sent,
                         MSG_NOSIGNAL | MSG_DONTWAIT);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno != EAGAIN) {
            stream_die(stream);
            return;
        }
        if (n < 0)
            break;
        sent += (size_t)n;
    }
    stream->output_size -= sent;
    memmove(stream->output, stream->output + sent, stream->output_size);
    event_modify(stream->source, stream->output_size > 0 ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

static void on_event(void *opaque, uint32_t events)
{
    struct framed_stream *stream = opaque;
    const uint8_t *data;
    size_t size;
    int ret;

    if (events & EPOLLOUT)
        stream_flush(stream);
    if (stream->dead || !(events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
        return;
    ret = frame_reader_fill(&stream->reader, stream->fd);
    if (ret == -EAGAIN)
        return;
    if (ret <= 0) {
        stream_die(stream);
        return;
    }
    while ((ret = frame_reader_next(&stream->reader, &data, &size)) > 0) {
        if (stream->ops->frame(stream->opaque, data, size) < 0) {
            stream_die(stream);
            return;
        }
        if (stream->dead)
            return;
    }
    if (ret < 0)
        stream_die(stream);
}

struct framed_stream *framed_stream_new(struct event_loop *loop, int fd, size_t frame_max,
                                        const struct framed_stream_ops *ops, void *opaque)
{
    struct framed_stream *stream = calloc(1, sizeof(*stream));
    int flags = fcntl(fd, F_GETFL);

    if (stream == NULL) {
        close(fd);
        return NULL;
    }
    stream->ops = ops;
    stream->opaque = opaque;
    stream->fd = fd;
    frame_reader_init(&stream->reader, frame_max);
    stream->closer = event_timer_add(loop, on_close_due, stream);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 || stream->closer == NULL ||
        (stream->source = event_add(loop, fd, EPOLLIN, on_event, stream)) == NULL) {
        framed_stream_free(stream);
        return NULL;
    }
    return stream;
}

void framed_stream_free(struct framed_stream *stream)
{
    if (stream == NULL)
        return;
    event_remove(stream->source);
    event_remove(stream->closer);
    frame_reader_fini(&stream->reader);
    free(stream->output);
    close(stream->fd);
    free(stream);
}

void framed_stream_send(struct framed_stream *stream, const ProtobufCMessage *message)
{
    cleanup_free uint8_t *frame = NULL;
    uint8_t *grown;
    size_t size;

    if (stream->dead)
        return;
    if (frame_pack(message, &frame, &size) < 0 || stream->output_size + size > OUTPUT_MAX) {
        stream_die(stream);
        return;
    }
    grown = realloc(stream->output, stream->output_size + size);
    if (grown == NULL) {
        stream_die(stream);
        return;
    }
    memcpy(grown + stream->output_size, frame, size);
    stream->output = grown;
    stream->output_size += size;
    stream_flush(stream);
}

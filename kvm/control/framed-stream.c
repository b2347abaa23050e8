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
    struct event_source *later; /* for what must not happen within the owner's own call */
    struct frame_reader reader;
    uint8_t *output;
    size_t output_size;
    struct frame_fds fds; /* received, and no frame's owner has taken them yet */
    int fd;
    bool accepts_fds;
    bool held;
    bool dead;
};

/* What is watched for follows from the state; a dead stream has no events any more. */
static void watch(struct framed_stream *stream)
{
    if (!stream->dead)
        event_modify(stream->source, (stream->held ? 0u : (uint32_t)EPOLLIN) |
                                         (stream->output_size > 0 ? (uint32_t)EPOLLOUT : 0u));
}

static void stream_die(struct framed_stream *stream)
{
    if (stream->dead)
        return;
    stream->dead = true;
    event_modify(stream->source, 0);
    event_timer_set(stream->later, 0);
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
    watch(stream);
}

/* Reads once; descriptors that come along join those that wait. As frame_reader_fill(). */
static int fill(struct framed_stream *stream)
{
    struct frame_fds more;
    int ret;

    if (!stream->accepts_fds)
        return frame_reader_fill(&stream->reader, stream->fd); /* the kernel drops them */
    ret = frame_reader_fill_fds(&stream->reader, stream->fd, &more);
    if (more.count > FRAME_FDS_MAX - stream->fds.count) {
        frame_fds_close(&more);
        return -EPROTO;
    }
    for (size_t i = 0; i < more.count; i++)
        stream->fds.fd[stream->fds.count++] = more.fd[i];
    return ret;
}

/* Hands over the frames that are whole, until the owner holds the stream. */
static void deliver(struct framed_stream *stream)
{
    const uint8_t *data;
    size_t size;

    while (!stream->dead && !stream->held) {
        int ret = frame_reader_next(&stream->reader, &data, &size);

        if (ret == 0)
            return;
        if (ret < 0 || stream->ops->frame(stream->opaque, data, size) < 0)
            stream_die(stream);
    }
}

static void on_event(void *opaque, uint32_t events)
{
    struct framed_stream *stream = opaque;
    int ret;

    if (events & EPOLLOUT)
        stream_flush(stream);
    if (stream->dead || stream->held || !(events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
        return;
    ret = fill(stream);
    if (ret == -EAGAIN)
        return;
    if (ret <= 0)
        stream_die(stream);
    else
        deliver(stream);
}

static void on_later(void *opaque)
{
    struct framed_stream *stream = opaque;

    if (stream->dead)
        stream->ops->closed(stream->opaque);
    else
        deliver(stream);
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
    stream->later = event_timer_add(loop, on_later, stream);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 || stream->later == NULL ||
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
    event_remove(stream->later);
    frame_fds_close(&stream->fds);
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

void framed_stream_accept_fds(struct framed_stream *stream)
{
    stream->accepts_fds = true;
}

int framed_stream_take_fd(struct framed_stream *stream)
{
    int fd;

    if (stream->fds.count == 0)
        return -1;
    fd = stream->fds.fd[0];
    stream->fds.count--;
    memmove(stream->fds.fd, stream->fds.fd + 1, stream->fds.count * sizeof(int));
    return fd;
}

void framed_stream_hold(struct framed_stream *stream, bool held)
{
    if (stream->held == held || stream->dead)
        return;
    stream->held = held;
    watch(stream);
    /* Whole frames may wait in the reader, of which no event tells. */
    event_timer_set(stream->later, held ? -1 : 0);
}

/* SPDX-License-Identifier: MIT */
/* A stream of frames, to passt for one, as a network card's host end. */

/*
 * The peer is trusted no more than a network is: a length that no frame can have
 * ends the stream, as nothing tells where the next frame would begin. Small frames
 * are copied and go together, at a flush: to copy them takes less than a system call
 * for each does, and than waking the peer. Of what the socket takes in part the rest
 * is kept and goes first; the state outlives the device, so that a guest's reboot in
 * mid-frame breaks nothing.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_net.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kvm/net/end.h"
#include "lib/base/cleanup.h"
#include "lib/base/unix-socket.h"

enum {
    LENGTH_BYTES = 4,
    /* Any frame, and more than one of the usual size for each system call. */
    INPUT_BYTES = 2 * 65536,
    OUTPUT_BYTES = LENGTH_BYTES + NET_FRAME_MAX,
    /* Frames up to this size, length included, are gathered in the output. */
    GATHERED_MAX = 2048,
};

struct net_stream {
    struct net_end end; /* first */
    bool is_gone;
    bool is_drained;               /* the socket was left empty when the frames of the input came */
    size_t input_start, input_end; /* what of input was not handed over yet */
    size_t output_start, output_end;
    uint8_t input[INPUT_BYTES];
    uint8_t output[OUTPUT_BYTES];
};

static struct net_stream *stream_of(struct net_end *end)
{
    return (struct net_stream *)(void *)end;
}

static int set_gone(struct net_stream *stream)
{
    stream->is_gone = true;
    return -ENOTCONN;
}

static int stream_flush(struct net_end *end, unsigned int queue)
{
    struct net_stream *stream = stream_of(end);

    if (stream->is_gone)
        return -ENOTCONN;
    while (stream->output_start < stream->output_end) {
        ssize_t n = send(end->fd[queue], stream->output + stream->output_start,
                         stream->output_end - stream->output_start, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (n < 0)
            return errno == EAGAIN || errno == EINTR ? -EAGAIN : set_gone(stream);
        stream->output_start += (size_t)n;
    }
    stream->output_start = stream->output_end = 0;
    return 0;
}

/* Puts what the segments hold behind their first sent bytes at the output's end. */
static void append(struct net_stream *stream, const struct iovec *segment, unsigned int count,
                   size_t sent)
{
    for (unsigned int i = 0; i < count; i++) {
        size_t skip = sent < segment[i].iov_len ? sent : segment[i].iov_len;
        size_t size = segment[i].iov_len - skip;

        sent -= skip;
        memcpy(stream->output + stream->output_end, (const uint8_t *)segment[i].iov_base + skip,
               size);
        stream->output_end += size;
    }
}

static int stream_send(struct net_end *end, unsigned int queue, struct iovec *segment,
                       unsigned int count, size_t bytes)
{
    struct net_stream *stream = stream_of(end);
    uint32_t length = htonl((uint32_t)bytes);
    struct msghdr message = {.msg_iov = segment, .msg_iovlen = count};
    bool is_small = LENGTH_BYTES + bytes <= GATHERED_MAX;
    ssize_t n;

    if (bytes > NET_FRAME_MAX)
        return 0;
    if (stream->is_gone)
        return -ENOTCONN;
    if (!is_small || LENGTH_BYTES + bytes > OUTPUT_BYTES - stream->output_end) {
        int code = stream_flush(end, queue);

        if (code < 0)
            return code;
    }
    segment[0] = (struct iovec){.iov_base = &length, .iov_len = sizeof(length)};
    if (is_small) {
        append(stream, segment, count, 0);
        return 0;
    }
    n = sendmsg(end->fd[queue], &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? -EAGAIN : set_gone(stream);
    if ((size_t)n == LENGTH_BYTES + bytes)
        return 0;
    append(stream, segment, count, (size_t)n);
    return 1;
}

/* The size of the frame that input begins with; negative: it is not all there; -EPROTO. */
static ssize_t frame_size(const struct net_stream *stream)
{
    size_t have = stream->input_end - stream->input_start;
    uint32_t length;

    if (have < LENGTH_BYTES)
        return -EAGAIN;
    memcpy(&length, stream->input + stream->input_start, sizeof(length));
    length = ntohl(length);
    if (length < NET_FRAME_MIN || length > NET_FRAME_MAX)
        return -EPROTO;
    return have - LENGTH_BYTES < length ? -EAGAIN : (ssize_t)length;
}

static bool stream_has_buffered(struct net_end *end, unsigned int queue)
{
    (void)queue;
    return frame_size(stream_of(end)) != -EAGAIN; /* a broken one counts: it is to be noticed */
}

/* Reads what the socket has into the room behind what is there. */
static int fill_input(struct net_stream *stream, int fd)
{
    size_t have = stream->input_end - stream->input_start;
    ssize_t n;

    if (stream->input_start > 0) {
        memmove(stream->input, stream->input + stream->input_start, have);
        stream->input_start = 0;
        stream->input_end = have;
    }
    /* Only the turn's end: the descriptor says when there is more. */
    if (stream->is_drained) {
        stream->is_drained = false;
        return -EAGAIN;
    }
    n = recv(fd, stream->input + have, INPUT_BYTES - have, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return -EAGAIN;
    if (n <= 0)
        return set_gone(stream);
    stream->input_end += (size_t)n;
    stream->is_drained = stream->input_end < INPUT_BYTES && frame_size(stream) != -EAGAIN;
    return 0;
}

static ssize_t stream_receive(struct net_end *end, unsigned int queue, struct iovec *segment,
                              unsigned int count)
{
    struct net_stream *stream = stream_of(end);
    ssize_t size = frame_size(stream);
    const uint8_t *frame;
    size_t left;

    if (size == -EAGAIN) {
        int code = stream->is_gone ? -ENOTCONN : fill_input(stream, end->fd[queue]);

        if (code < 0)
            return code;
        size = frame_size(stream);
    }
    if (size < 0)
        return size == -EPROTO ? set_gone(stream) : size;
    memset(segment[0].iov_base, 0, sizeof(struct virtio_net_hdr_v1));
    frame = stream->input + stream->input_start + LENGTH_BYTES;
    left = (size_t)size;
    for (unsigned int i = 1; i < count && left > 0; i++) {
        size_t part = segment[i].iov_len < left ? segment[i].iov_len : left;

        memcpy(segment[i].iov_base, frame, part);
        frame += part;
        left -= part;
    }
    stream->input_start += LENGTH_BYTES + (size_t)size;
    return size;
}

static void stream_free(struct net_end *end)
{
    (void)close(end->fd[0]);
    free(stream_of(end));
}

static const struct net_end_ops stream_ops = {
    .send = stream_send,
    .flush = stream_flush,
    .receive = stream_receive,
    .has_buffered = stream_has_buffered,
    .free = stream_free,
};

struct net_end *net_stream_from_fd(int fd, struct crosh_error *err)
{
    cleanup_close int socket = fd;
    struct net_stream *stream;
    int type = 0;
    socklen_t size = sizeof(type);

    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) < 0 || type != SOCK_STREAM) {
        crosh_error_set(err, -ENOTSOCK, "descriptor %d is not a stream socket", fd);
        return NULL;
    }
    if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0) {
        crosh_error_errno(err, "descriptor %d", fd);
        return NULL;
    }
    stream = calloc(1, sizeof(*stream));
    if (stream == NULL) {
        crosh_error_set(err, -ENOMEM, "out of memory");
        return NULL;
    }
    stream->end.ops = &stream_ops;
    stream->end.queue_count = 1;
    stream->end.fd[0] = move_fd(socket);
    return &stream->end;
}

struct net_end *net_stream_open(const char *path, struct crosh_error *err)
{
    int fd = unix_connect(path);

    if (fd < 0) {
        crosh_error_set(err, fd, "network socket %s: %s", path, strerror(-fd));
        if (fd == -ECONNREFUSED || fd == -ENOENT)
            crosh_error_hint(err, "start passt first: passt --socket %s", path);
        return NULL;
    }
    return net_stream_from_fd(fd, err);
}

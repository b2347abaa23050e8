/* SPDX-License-Identifier: MIT */
/* One end of a stream of the file protocol. */
#include "lib/files/link.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>

#include "lib/base/deadline.h"

#define QUEUE_LIMIT (512u * 1024u)

int files_link_init(struct files_link *link, int fd, int interrupt, struct crosh_error *err)
{
    *link = (struct files_link){.fd = fd, .interrupt = interrupt};
    frame_reader_init(&link->reader, FRAME_MAX);
    byte_queue_init(&link->queue, QUEUE_LIMIT);
    if (fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
        return crosh_error_errno(err, "cannot set up the stream");
    return 0;
}

void files_link_fini(struct files_link *link)
{
    frame_reader_fini(&link->reader);
    byte_queue_fini(&link->queue);
}

static int lost(struct crosh_error *err)
{
    return crosh_error_set(err, CROSH_ELOST, "the connection was lost");
}

/* Waits for the stream or the user. The stream's revents, or negative. */
static int wait_link(struct files_link *link, short events, int64_t deadline,
                     struct crosh_error *err)
{
    struct pollfd polls[2] = {{.fd = link->fd, .events = events},
                              {.fd = link->interrupt, .events = POLLIN}};

    for (;;) {
        int64_t left = deadline - deadline_now();
        int n = poll(polls, 2, deadline == DEADLINE_NEVER ? -1 : left > 0 ? (int)left : 0);

        if (n == 0)
            return crosh_error_set(err, -ETIMEDOUT, "the other end does not answer");
        if (n < 0 && errno != EINTR)
            return crosh_error_errno(err, "cannot wait for the stream");
        if (n > 0 && polls[1].revents != 0)
            return crosh_error_set(err, -EINTR, "interrupted");
        if (n > 0)
            return polls[0].revents;
    }
}

/* Reads what has come. 1, 0 when there is nothing, or negative. */
static int fill(struct files_link *link, struct crosh_error *err)
{
    int r = frame_reader_fill(&link->reader, link->fd);

    if (r == -EAGAIN || r == -ENOBUFS)
        return 0;
    if (r == -EMSGSIZE)
        return crosh_error_set(err, -EBADMSG, "the other end sent a message that is too long");
    return r <= 0 ? lost(err) : 1;
}

bool files_link_has_message(struct files_link *link)
{
    struct frame_reader ahead = link->reader;
    const uint8_t *data;
    size_t size;

    return frame_reader_next(&ahead, &data, &size) != 0;
}

/* Sends until at most left bytes are queued. */
static int send_down_to(struct files_link *link, size_t left, struct crosh_error *err)
{
    for (;;) {
        int r = byte_queue_flush(&link->queue, link->fd);
        bool is_broken = r < 0;

        if (!is_broken && byte_queue_size(&link->queue) <= left)
            return 0;
        if (files_link_has_message(link))
            return 1;
        /* A peer that takes nothing any more may have said why. */
        r = is_broken ? POLLIN : wait_link(link, POLLIN | POLLOUT, DEADLINE_NEVER, err);
        if (r < 0)
            return r;
        if ((r & ~POLLOUT) != 0) {
            r = fill(link, err);
            if (r < 0)
                return r;
            if (files_link_has_message(link))
                return 1;
            if (is_broken && r == 0)
                return lost(err);
        }
    }
}

int files_link_send(struct files_link *link, const ProtobufCMessage *message,
                    struct crosh_error *err)
{
    int r = byte_queue_add_message(&link->queue, message);

    if (r < 0)
        return crosh_error_set(err, r, "cannot send: %s", strerror(-r));
    return send_down_to(link, QUEUE_LIMIT, err);
}

int files_link_flush(struct files_link *link, struct crosh_error *err)
{
    return send_down_to(link, 0, err);
}

int files_link_receive(struct files_link *link, const ProtobufCMessageDescriptor *type,
                       int timeout_ms, ProtobufCMessage **message, struct crosh_error *err)
{
    int64_t deadline = deadline_in(timeout_ms);

    for (;;) {
        const uint8_t *data;
        size_t size;
        int r = frame_reader_next(&link->reader, &data, &size);

        if (r > 0) {
            *message = protobuf_c_message_unpack(type, NULL, size, data);
            if (*message != NULL)
                return 0;
            r = -EBADMSG;
        }
        if (r < 0)
            return crosh_error_set(err, -EBADMSG, "the other end sent a malformed message");
        r = wait_link(link, POLLIN, deadline, err);
        if (r < 0)
            return r;
        r = fill(link, err);
        if (r < 0)
            return r;
    }
}

/* SPDX-License-Identifier: MIT */
/* Implements the relay between two sockets. */

/*
 * Theory of operation
 *
 * A direction has bytes in its hands only while the side that is to take them does not: then
 * it waits for EPOLLOUT there, and reads no more from the other side. So a side is watched
 * for exactly what can be acted upon. EPOLLHUP is watched for until it is seen: it says
 * that a side is gone both ways, and then the relay is over once the other has all that
 * was sent before.
 */
#include "kvm/socket-relay.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define CHUNK      (64 * 1024)
#define ROUNDS_MAX 4 /* reads of one side in a row, before others get their turn */

struct side {
    struct socket_relay *relay;
    int fd;
    struct event_source *source;
    bool eof;          /* it sends no more */
    bool write_closed; /* it was told that no more comes */
    bool hung_up;
    uint8_t *kept; /* what it has not taken yet */
    size_t kept_at, kept_end;
};

struct socket_relay {
    struct side side[2];
    bool broken; /* no memory */
    socket_relay_done_fn *done;
    void *opaque;
};

static struct side *other_of(struct side *side)
{
    struct socket_relay *relay = side->relay;

    return side == &relay->side[0] ? &relay->side[1] : &relay->side[0];
}

/* The side takes no more: the other need not send, but what it has from this one stays due. */
static void stop_giving(struct side *to)
{
    struct side *from = other_of(to);

    to->write_closed = true;
    from->eof = true;
    (void)shutdown(from->fd, SHUT_RD);
}

/* The bytes that need not be kept: taken, or in vain. */
static size_t give(struct side *to, const void *data, size_t size)
{
    ssize_t n = send(to->fd, data, size, MSG_NOSIGNAL | MSG_DONTWAIT);

    if (n >= 0)
        return (size_t)n;
    if (errno == EAGAIN || errno == EINTR)
        return 0;
    stop_giving(to);
    return size;
}

static void flush(struct side *to)
{
    if (to->kept == NULL)
        return;
    to->kept_at += give(to, to->kept + to->kept_at, to->kept_end - to->kept_at);
    if (to->kept_at < to->kept_end)
        return;
    free(to->kept);
    to->kept = NULL;
}

static void keep(struct side *to, const void *data, size_t size)
{
    to->kept = malloc(size);
    if (to->kept == NULL) {
        to->relay->broken = true;
        return;
    }
    memcpy(to->kept, data, size);
    to->kept_at = 0;
    to->kept_end = size;
}

static void move_bytes(struct side *from, struct side *to)
{
    uint8_t chunk[CHUNK];

    flush(to);
    for (int i = 0; i < ROUNDS_MAX && to->kept == NULL && !from->eof && !to->relay->broken; i++) {
        ssize_t n = recv(from->fd, chunk, sizeof(chunk), MSG_DONTWAIT);
        size_t taken;

        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            break;
        if (n <= 0) {
            from->eof = true; /* a reset stream is one that has ended */
            break;
        }
        taken = give(to, chunk, (size_t)n);
        if (taken < (size_t)n)
            keep(to, chunk + taken, (size_t)n - taken);
        if ((size_t)n < sizeof(chunk))
            break; /* nothing more for the moment */
    }
    if (from->eof && to->kept == NULL && !to->write_closed) {
        to->write_closed = true;
        (void)shutdown(to->fd, SHUT_WR);
    }
}

static void watch(struct side *side)
{
    const struct side *other = other_of(side);
    uint32_t events = side->hung_up ? 0 : EPOLLHUP;

    if (!side->eof && other->kept == NULL)
        events |= EPOLLIN;
    if (side->kept != NULL)
        events |= EPOLLOUT;
    event_modify(side->source, events);
}

/* Nothing will pass any more. A side that has gone takes nothing either. */
static bool is_over(const struct socket_relay *relay)
{
    const struct side *a = &relay->side[0], *b = &relay->side[1];

    if (relay->broken || (a->write_closed && b->write_closed))
        return true;
    return (a->hung_up && b->write_closed) || (b->hung_up && a->write_closed);
}

static void on_side(void *opaque, uint32_t events)
{
    struct side *side = opaque, *other = other_of(side);
    struct socket_relay *relay = side->relay;

    if ((events & (EPOLLHUP | EPOLLERR)) != 0)
        side->hung_up = true;
    /* Either may be able to go on: bytes that this side takes let the other be read. */
    move_bytes(side, other);
    move_bytes(other, side);
    if (is_over(relay)) {
        relay->done(relay->opaque);
        return;
    }
    watch(side);
    watch(other);
}

void socket_relay_free(struct socket_relay *relay)
{
    if (relay == NULL)
        return;
    for (unsigned int i = 0; i < 2; i++) {
        event_remove(relay->side[i].source);
        (void)close(relay->side[i].fd);
        free(relay->side[i].kept);
    }
    free(relay);
}

struct socket_relay *socket_relay_new(struct event_loop *loop, int a, int b,
                                      socket_relay_done_fn *done, void *opaque)
{
    struct socket_relay *relay = calloc(1, sizeof(*relay));
    const int fd[2] = {a, b};

    if (relay == NULL) {
        (void)close(a);
        (void)close(b);
        return NULL;
    }
    relay->done = done;
    relay->opaque = opaque;
    for (unsigned int i = 0; i < 2; i++)
        relay->side[i] = (struct side){.relay = relay, .fd = fd[i]};
    for (unsigned int i = 0; i < 2; i++) {
        struct side *side = &relay->side[i];

        side->source = event_add(loop, side->fd, EPOLLIN | EPOLLHUP, on_side, side);
        if (side->source == NULL) {
            socket_relay_free(relay);
            return NULL;
        }
    }
    return relay;
}

/* SPDX-License-Identifier: MIT */
/* Connections of the vsock device: a stream, its host socket, and the bytes between them. */

/*
 * Theory of operation
 *
 * From the guest: bytes go from guest memory straight into the socket; what it
 * does not take waits in a ring as large as the credit the guest was given, so
 * that a slow reader holds up its own stream and nothing else. Bytes count as
 * forwarded once the socket has them.
 *
 * To the guest: the bytes stay in the socket until the guest has credit and
 * buffers; vsock.c then reads them straight into guest memory. A connection with
 * bytes to read is `readable` and no longer watched for EPOLLIN until a read comes
 * up short, so that nothing spins while it waits for its turn or for credit.
 *
 * EPOLLHUP is watched for until it is seen, and a socket with nothing to watch for
 * leaves the epoll set. When a stream is over for the guest, the connection lives
 * on only to bring the host what is still in the ring.
 */
#include "kvm/virtio/vsock-internal.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/deadline.h"

struct vsock_conn *vsock_conn_new(struct vsock_device *vsock)
{
    struct vsock_conn *conn;

    if (vsock->conn_count >= vsock->max_connections)
        return NULL;
    conn = calloc(1, sizeof(*conn));
    if (conn == NULL)
        return NULL;
    conn->vsock = vsock;
    conn->fd = -1;
    conn->turn_bytes = VSOCK_TURN_BYTES_MIN;
    TAILQ_INSERT_TAIL(&vsock->conns, conn, all);
    vsock->conn_count++;
    return conn;
}

static struct vsock_conn_bucket *bucket_of(struct vsock_device *vsock, uint32_t guest_port,
                                           uint32_t host_port)
{
    return &vsock->bucket[(guest_port * 31 + host_port) % VSOCK_HASH_SIZE];
}

void vsock_conn_publish(struct vsock_conn *conn)
{
    const struct vsock_stream *stream = &conn->stream;

    LIST_INSERT_HEAD(bucket_of(conn->vsock, stream->guest_port, stream->host_port), conn, hash);
    conn->is_hashed = true;
}

struct vsock_conn *vsock_conn_find(struct vsock_device *vsock, uint32_t guest_port,
                                   uint32_t host_port)
{
    struct vsock_conn *conn;

    LIST_FOREACH(conn, bucket_of(vsock, guest_port, host_port), hash)
    if (conn->stream.guest_port == guest_port && conn->stream.host_port == host_port)
        return conn;
    return NULL;
}

void vsock_conn_set_half_open(struct vsock_conn *conn, bool half_open)
{
    if (conn->is_half_open == half_open)
        return;
    conn->is_half_open = half_open;
    if (half_open) {
        conn->vsock->half_open++;
    } else {
        conn->vsock->half_open--;
        vsock_host_resume(conn->vsock);
    }
}

void vsock_conn_set_deadline(struct vsock_conn *conn, bool on)
{
    struct vsock_device *vsock = conn->vsock;

    if (conn->deadline != 0)
        TAILQ_REMOVE(&vsock->waiting, conn, waiting);
    conn->deadline = 0;
    if (!on)
        return;
    /* All deadlines are equally far away, so the list stays sorted. */
    conn->deadline = deadline_in(vsock->deadline_ms);
    TAILQ_INSERT_TAIL(&vsock->waiting, conn, waiting);
    vsock_arm_deadline(vsock);
}

static void unpublish(struct vsock_conn *conn)
{
    if (conn->is_hashed)
        LIST_REMOVE(conn, hash);
    conn->is_hashed = false;
    if (conn->is_ready)
        TAILQ_REMOVE(&conn->vsock->ready, conn, ready);
    conn->is_ready = false;
    vsock_conn_set_deadline(conn, false);
}

void vsock_conn_close(struct vsock_conn *conn)
{
    struct vsock_device *vsock = conn->vsock;

    if (conn->is_dead)
        return;
    conn->is_dead = true;
    unpublish(conn);
    event_remove(conn->source);
    conn->source = NULL;
    if (conn->fd >= 0)
        (void)close(conn->fd);
    conn->fd = -1;
    free(conn->out);
    conn->out = NULL;
    TAILQ_REMOVE(&vsock->conns, conn, all);
    TAILQ_INSERT_TAIL(&vsock->dead, conn, all);
    vsock->conn_count--;
    vsock_conn_set_half_open(conn, false);
}

void vsock_conn_reap(struct vsock_device *vsock)
{
    struct vsock_conn *conn;

    while ((conn = TAILQ_FIRST(&vsock->dead)) != NULL) {
        TAILQ_REMOVE(&vsock->dead, conn, all);
        free(conn);
    }
}

static void host_shut(struct vsock_conn *conn, uint32_t flags)
{
    vsock_stream_host_shut(&conn->stream, flags);
    /* From now on it is for the guest to end the stream. */
    if (conn->stream.host_shut == VSOCK_SHUT_BOTH && conn->deadline == 0)
        vsock_conn_set_deadline(conn, true);
}

/* The host takes no more: throws away what it was to get. */
static void set_host_gone(struct vsock_conn *conn)
{
    uint32_t lost = conn->out_used;

    if (conn->host_gone)
        return;
    conn->host_gone = true;
    conn->out_used = 0;
    free(conn->out);
    conn->out = NULL;
    vsock_stream_forwarded(&conn->stream, lost);
    host_shut(conn, VSOCK_SHUT_RECEIVE);
}

/* Sends to the host; the bytes taken, possibly none. */
static uint32_t send_to_host(struct vsock_conn *conn, struct iovec *iov, unsigned int count)
{
    const struct msghdr msg = {.msg_iov = iov, .msg_iovlen = count};
    ssize_t n;

    do
        n = sendmsg(conn->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    if (n >= 0)
        return (uint32_t)n;
    if (errno != EAGAIN)
        set_host_gone(conn);
    return 0;
}

/* Once the host has all that the guest sent, it sees the end of it. */
static void pass_on_guest_end(struct vsock_conn *conn)
{
    if ((conn->stream.guest_shut & VSOCK_SHUT_SEND) != 0 && conn->out_used == 0 &&
        !conn->write_closed && conn->fd >= 0) {
        conn->write_closed = true;
        (void)shutdown(conn->fd, SHUT_WR);
    }
}

static void flush(struct vsock_conn *conn)
{
    uint32_t size = conn->stream.buf_alloc;

    while (conn->out_used > 0) {
        uint32_t run = size - conn->out_head;
        struct iovec iov[2];
        uint32_t n;

        if (run > conn->out_used)
            run = conn->out_used;
        iov[0] = (struct iovec){.iov_base = conn->out + conn->out_head, .iov_len = run};
        iov[1] = (struct iovec){.iov_base = conn->out, .iov_len = conn->out_used - run};
        n = send_to_host(conn, iov, 2);
        if (n == 0)
            break;
        conn->out_head = (conn->out_head + n) % size;
        conn->out_used -= n;
        vsock_stream_forwarded(&conn->stream, n);
    }
    if (conn->out_used == 0) {
        free(conn->out);
        conn->out = NULL;
    }
    pass_on_guest_end(conn);
}

/* Keeps len bytes at offset of chain for later; the credit sees to it that they fit. */
static bool keep(struct vsock_conn *conn, const struct virtqueue_chain *chain, size_t offset,
                 uint32_t len)
{
    uint32_t size = conn->stream.buf_alloc;

    if (conn->out == NULL) {
        conn->out = malloc(size);
        conn->out_head = 0;
    }
    if (conn->out == NULL)
        return false;
    while (len > 0) {
        uint32_t at = (conn->out_head + conn->out_used) % size;
        uint32_t run = size - at < len ? size - at : len;

        (void)virtqueue_chain_read(chain, offset, conn->out + at, run);
        conn->out_used += run;
        offset += run;
        len -= run;
    }
    return true;
}

/* Makes iov of len bytes at offset of chain's readable part. */
static unsigned int slice(const struct virtqueue_chain *chain, size_t offset, size_t len,
                          struct iovec *iov)
{
    unsigned int count = 0;

    for (unsigned int i = 0; i < chain->out_count && len > 0; i++) {
        struct iovec part = chain->segment[i];

        if (offset >= part.iov_len) {
            offset -= part.iov_len;
            continue;
        }
        part.iov_base = (uint8_t *)part.iov_base + offset;
        part.iov_len -= offset;
        offset = 0;
        if (part.iov_len > len)
            part.iov_len = len;
        len -= part.iov_len;
        iov[count++] = part;
    }
    return count;
}

static void deliver(struct vsock_conn *conn, const struct virtqueue_chain *chain, size_t offset,
                    uint32_t len)
{
    struct iovec iov[VIRTQUEUE_MAX_SIZE];
    uint32_t n = 0;

    if (conn->out_used == 0 && !conn->host_gone)
        n = send_to_host(conn, iov, slice(chain, offset, len, iov));
    if (conn->host_gone) {
        vsock_stream_forwarded(&conn->stream, len);
        return;
    }
    vsock_stream_forwarded(&conn->stream, n);
    if (n < len && !keep(conn, chain, offset + n, len - n))
        vsock_stream_reset(&conn->stream);
}

void vsock_conn_receive(struct vsock_conn *conn, const struct vsock_packet *packet,
                        const struct virtqueue_chain *chain, size_t offset)
{
    unsigned int todo = vsock_stream_receive(&conn->stream, packet);

    if ((todo & VSOCK_DO_DATA) != 0)
        deliver(conn, chain, offset, packet->len);
    if ((todo & VSOCK_DO_OPENED) != 0)
        vsock_host_opened(conn);
    if ((todo & VSOCK_DO_GUEST_SHUT) != 0) {
        pass_on_guest_end(conn);
        if ((conn->stream.guest_shut & VSOCK_SHUT_RECEIVE) != 0 && !conn->host_eof) {
            conn->host_eof = true;
            conn->readable = false;
            if (conn->fd >= 0)
                (void)shutdown(conn->fd, SHUT_RD);
        }
    }
    vsock_conn_update(conn);
}

ssize_t vsock_conn_read(struct vsock_conn *conn, const struct iovec *iov, unsigned int count)
{
    size_t room = 0;
    ssize_t n;

    for (unsigned int i = 0; i < count; i++)
        room += iov[i].iov_len;
    do
        n = readv(conn->fd, iov, (int)count);
    while (n < 0 && errno == EINTR);
    if (n > 0) {
        conn->readable = (size_t)n == room;
        if (!conn->readable)
            conn->turn_bytes =
                (uint32_t)n > VSOCK_TURN_BYTES_MIN ? (uint32_t)n : VSOCK_TURN_BYTES_MIN;
        else if (conn->turn_bytes <= VSOCK_TURN_BYTES / 4)
            conn->turn_bytes *= 4;
        else
            conn->turn_bytes = VSOCK_TURN_BYTES;
        return n;
    }
    conn->readable = false;
    if (n < 0 && errno == EAGAIN)
        return n;
    /* The end; an error of a unix socket comes only after all its data. */
    conn->host_eof = true;
    host_shut(conn, VSOCK_SHUT_SEND);
    return 0;
}

/* Watches for exactly what can be acted upon. */
static void watch(struct vsock_conn *conn)
{
    uint32_t events = 0;

    if (conn->source == NULL)
        return;
    if (conn->stream.state == VSOCK_STREAM_OPEN && !conn->host_eof && !conn->readable)
        events |= EPOLLIN;
    if (conn->out_used > 0)
        events |= EPOLLOUT;
    if (!conn->hung_up)
        events |= EPOLLHUP;
    event_modify(conn->source, events);
}

static void become_ready(struct vsock_conn *conn)
{
    if (conn->is_ready)
        return;
    conn->is_ready = true;
    TAILQ_INSERT_TAIL(&conn->vsock->ready, conn, ready);
}

/* Puts it where it belongs; all of vsock_conn_update() but the watching. */
static void settle(struct vsock_conn *conn)
{
    struct vsock_stream *stream = &conn->stream;
    bool has_data = conn->readable && !conn->host_eof;

    if (vsock_stream_is_over(stream)) {
        unpublish(conn);
        vsock_conn_set_half_open(conn, false);
        if (conn->out_used == 0)
            vsock_conn_close(conn);
        return;
    }
    if (has_data && vsock_stream_credit(stream) == 0)
        vsock_stream_starved(stream);
    if (vsock_stream_owes(stream) || (has_data && vsock_stream_credit(stream) > 0))
        become_ready(conn);
}

void vsock_conn_update(struct vsock_conn *conn)
{
    if (!conn->is_dead)
        settle(conn);
    watch(conn);
}

static void on_socket(void *opaque, uint32_t events)
{
    struct vsock_conn *conn = opaque;
    struct vsock_device *vsock = conn->vsock;

    if ((events & (EPOLLHUP | EPOLLERR)) != 0) {
        conn->hung_up = true;
        set_host_gone(conn);
        if (conn->stream.state != VSOCK_STREAM_OPEN)
            vsock_stream_reset(&conn->stream); /* the client did not wait for its answer */
        /* What it sent before is still there to be read, and then the end. */
        conn->readable = !conn->host_eof;
    }
    if ((events & EPOLLIN) != 0 && !conn->host_eof)
        conn->readable = true;
    if ((events & EPOLLOUT) != 0)
        flush(conn);
    settle(conn);
    vsock_pump(vsock);
    watch(conn); /* only now: most reads empty the socket, and nothing has changed */
    vsock_conn_reap(vsock);
}

int vsock_conn_attach(struct vsock_conn *conn, int fd)
{
    const int room = (int)conn->stream.buf_alloc;

    conn->fd = fd;
    /* So that a whole credit's bytes go there at once, and not by way of the ring. No more than a
       wish: the host has a limit. */
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
    conn->source = event_add(conn->vsock->dev.loop, fd, EPOLLHUP, on_socket, conn);
    return conn->source != NULL ? 0 : -ENOMEM;
}

void vsock_conn_abandon(struct vsock_conn *conn)
{
    vsock_stream_drop(&conn->stream);
    conn->host_eof = true;
    conn->readable = false;
    vsock_conn_update(conn);
}

void vsock_conn_expire(struct vsock_device *vsock, int64_t now)
{
    struct vsock_conn *conn;

    while ((conn = TAILQ_FIRST(&vsock->waiting)) != NULL && conn->deadline <= now) {
        vsock_conn_set_deadline(conn, false);
        vsock_stream_reset(&conn->stream);
        vsock_conn_update(conn);
    }
}

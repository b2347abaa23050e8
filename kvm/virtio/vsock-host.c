/* SPDX-License-Identifier: MIT */
/* The host's ends of vsock streams: the unix socket, "<path>_<port>", listeners in here. */

/*
 * Theory of operation
 *
 * Whatever is not a stream yet is half open: a client that has not finished its
 * CONNECT line, a stream the guest has not answered, a listener whose backlog is
 * full (unix sockets cannot be waited for; connecting is tried again). Half-open
 * ones are bounded in number and each has a deadline. When there are too many,
 * new clients wait in the socket's backlog, and new requests of the guest for busy
 * listeners are refused. Without a driver in the guest, clients are closed at once.
 */
#include "kvm/virtio/vsock-internal.h"
#include "kvm/virtio/vsock-line.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/base/deadline.h"
#include "lib/base/unix-socket.h"

#define RETRY_MS   20
#define ACCEPT_MAX 16
/* Streams that the host opens come from these ports, far from those that people choose. */
#define FIRST_PORT 0x40000000u
#define LAST_PORT  0x7fffffffu

struct vsock_client {
    struct vsock_device *vsock;
    TAILQ_ENTRY(vsock_client) all;
    int64_t deadline;
    int fd;
    struct event_source *source;
    struct vsock_line line;
};

static void client_free(struct vsock_client *client)
{
    struct vsock_device *vsock = client->vsock;

    TAILQ_REMOVE(&vsock->clients, client, all);
    event_remove(client->source);
    if (client->fd >= 0)
        (void)close(client->fd);
    free(client);
    vsock->half_open--;
    vsock_host_resume(vsock);
}

static uint32_t choose_port(struct vsock_device *vsock, uint32_t guest_port)
{
    uint32_t port;

    /* Ends: there are many more ports than connections. */
    do {
        port = FIRST_PORT + vsock->next_port++ % (LAST_PORT - FIRST_PORT + 1);
    } while (vsock_conn_find(vsock, guest_port, port) != NULL);
    return port;
}

/* Asks the guest for a stream to port. */
static void client_connect(struct vsock_client *client, uint32_t port)
{
    struct vsock_device *vsock = client->vsock;
    struct vsock_conn *conn = vsock_conn_new(vsock);

    if (conn == NULL)
        return;
    vsock_stream_init_host(&conn->stream, vsock->guest_cid, port, choose_port(vsock, port),
                           vsock->buffer_bytes);
    vsock_conn_publish(conn);
    event_remove(client->source);
    client->source = NULL;
    if (vsock_conn_attach(conn, move_fd(client->fd)) < 0) {
        vsock_conn_close(conn);
        return;
    }
    vsock_conn_set_half_open(conn, true);
    vsock_conn_set_deadline(conn, true);
    vsock_conn_update(conn);
}

static void on_client(void *opaque, uint32_t events)
{
    struct vsock_client *client = opaque;
    struct vsock_device *vsock = client->vsock;
    uint32_t port;
    int ret = vsock_line_read(&client->line, client->fd, &port);

    (void)events;
    if (ret == 0)
        return;
    if (ret > 0)
        client_connect(client, port);
    client_free(client);
    vsock_pump(vsock);
    vsock_conn_reap(vsock);
}

static void client_new(struct vsock_device *vsock, int fd)
{
    struct vsock_client *client = calloc(1, sizeof(*client));

    if (client == NULL) {
        (void)close(fd);
        return;
    }
    client->vsock = vsock;
    client->fd = fd;
    client->deadline = deadline_in(vsock->deadline_ms);
    TAILQ_INSERT_TAIL(&vsock->clients, client, all);
    vsock->half_open++;
    client->source = event_add(vsock->dev.loop, fd, EPOLLIN, on_client, client);
    if (client->source == NULL)
        client_free(client);
}

static void retry_soon(struct vsock_device *vsock)
{
    if (vsock->retry_at == 0)
        vsock->retry_at = deadline_in(RETRY_MS);
}

static void on_listen(void *opaque, uint32_t events)
{
    struct vsock_device *vsock = opaque;

    (void)events;
    for (int i = 0; i < ACCEPT_MAX && vsock->half_open < VSOCK_MAX_HALF_OPEN; i++) {
        int fd = accept4(vsock->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

        if (fd < 0 && (errno == EINTR || errno == ECONNABORTED))
            continue;
        if (fd < 0) {
            if (errno != EAGAIN) {
                /* Out of descriptors or memory: let the clients wait in the backlog. */
                event_modify(vsock->listen_source, 0);
                retry_soon(vsock);
            }
            break;
        }
        if (vsock->dev.started || vsock->dev.is_suspended)
            client_new(vsock, fd);
        else
            (void)close(fd); /* nobody could answer */
    }
    if (vsock->half_open >= VSOCK_MAX_HALF_OPEN)
        event_modify(vsock->listen_source, 0);
    vsock_arm_deadline(vsock);
}

void vsock_host_resume(struct vsock_device *vsock)
{
    if (vsock->listen_source != NULL && vsock->half_open < VSOCK_MAX_HALF_OPEN)
        event_modify(vsock->listen_source, EPOLLIN);
}

void vsock_host_opened(struct vsock_conn *conn)
{
    char answer[32];
    int size = snprintf(answer, sizeof(answer), "OK %u\n", conn->stream.host_port);

    vsock_conn_set_deadline(conn, false);
    vsock_conn_set_half_open(conn, false);
    /* Nothing was sent to this client before, so it fits, or the client is gone. */
    if (send(conn->fd, answer, (size_t)size, MSG_NOSIGNAL) != size)
        vsock_stream_reset(&conn->stream);
}

/* The host's end is there: answers the guest. */
static void accept_guest(struct vsock_conn *conn, int fd)
{
    vsock_conn_set_deadline(conn, false);
    vsock_conn_set_half_open(conn, false);
    if (vsock_conn_attach(conn, fd) < 0)
        vsock_stream_reset(&conn->stream);
    else
        vsock_stream_accept(&conn->stream);
    vsock_conn_update(conn);
}

static bool open_listener(const struct vsock_listener *listener, int *fd)
{
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) < 0)
        return false;
    *fd = pair[0];
    if (listener->accept(listener->opaque, pair[1]))
        return true;
    (void)close(pair[0]);
    return false;
}

/* Connects to whoever serves port. A descriptor; -EAGAIN: try again; other negative: refused. */
static int open_port(struct vsock_device *vsock, uint32_t port)
{
    cleanup_free char *path = NULL;
    int fd;

    for (unsigned int i = 0; i < vsock->listener_count; i++)
        if (vsock->listener[i].port == port)
            return open_listener(&vsock->listener[i], &fd) ? fd : -ECONNREFUSED;
    if (vsock->socket_path == NULL)
        return -ECONNREFUSED;
    if (asprintf(&path, "%s_%u", vsock->socket_path, port) < 0) {
        path = NULL;
        return -ENOMEM;
    }
    return unix_connect_nonblock(path);
}

bool vsock_host_open(struct vsock_device *vsock, const struct vsock_packet *request)
{
    struct vsock_conn *conn;
    int fd = open_port(vsock, request->dst_port);

    if (fd < 0 && (fd != -EAGAIN || vsock->half_open >= VSOCK_MAX_HALF_OPEN))
        return false;
    conn = vsock_conn_new(vsock);
    if (conn == NULL) {
        if (fd >= 0)
            (void)close(fd);
        return false;
    }
    vsock_stream_init_guest(&conn->stream, request, vsock->buffer_bytes);
    vsock_conn_publish(conn);
    if (fd >= 0) {
        accept_guest(conn, fd);
        return true;
    }
    retry_soon(vsock);
    vsock_conn_set_half_open(conn, true);
    vsock_conn_set_deadline(conn, true);
    return true;
}

static void retry(struct vsock_device *vsock)
{
    struct vsock_conn *conn, *next;

    vsock->retry_at = 0;
    vsock_host_resume(vsock);
    for (conn = TAILQ_FIRST(&vsock->waiting); conn != NULL; conn = next) {
        int fd;

        next = TAILQ_NEXT(conn, waiting);
        if (conn->stream.state != VSOCK_STREAM_ACCEPTING)
            continue;
        fd = open_port(vsock, conn->stream.host_port);
        if (fd >= 0) {
            accept_guest(conn, fd);
        } else if (fd == -EAGAIN) {
            retry_soon(vsock);
        } else {
            vsock_stream_reset(&conn->stream);
            vsock_conn_update(conn);
        }
    }
}

int64_t vsock_host_next(const struct vsock_device *vsock)
{
    const struct vsock_client *first = TAILQ_FIRST(&vsock->clients);

    if (first != NULL && (vsock->retry_at == 0 || first->deadline < vsock->retry_at))
        return first->deadline;
    return vsock->retry_at;
}

void vsock_host_expire(struct vsock_device *vsock, int64_t now)
{
    struct vsock_client *client;

    while ((client = TAILQ_FIRST(&vsock->clients)) != NULL && client->deadline <= now)
        client_free(client);
    if (vsock->retry_at != 0 && vsock->retry_at <= now)
        retry(vsock);
}

int vsock_listen(struct virtio_device *dev, uint32_t port, vsock_accept_fn *accept_fn, void *opaque)
{
    struct vsock_device *vsock = (struct vsock_device *)dev;

    for (unsigned int i = 0; i < vsock->listener_count; i++)
        if (vsock->listener[i].port == port)
            return -EADDRINUSE;
    if (vsock->listener_count == VSOCK_MAX_LISTENERS)
        return -ENOSPC;
    vsock->listener[vsock->listener_count++] =
        (struct vsock_listener){.port = port, .accept = accept_fn, .opaque = opaque};
    return 0;
}

int vsock_host_init(struct vsock_device *vsock, const char *path, struct crosh_error *err)
{
    if (path == NULL)
        return 0;
    vsock->listen_fd = unix_listen(path, err);
    if (vsock->listen_fd < 0)
        return vsock->listen_fd;
    vsock->socket_path = strdup(path);
    vsock->listen_source = event_add(vsock->dev.loop, vsock->listen_fd, EPOLLIN, on_listen, vsock);
    if (vsock->socket_path == NULL || vsock->listen_source == NULL)
        return crosh_error_errno(err, "%s", path);
    return 0;
}

void vsock_host_stop(struct vsock_device *vsock)
{
    struct vsock_client *client;

    while ((client = TAILQ_FIRST(&vsock->clients)) != NULL)
        client_free(client);
}

void vsock_host_fini(struct vsock_device *vsock)
{
    event_remove(vsock->listen_source);
    vsock->listen_source = NULL;
    vsock_host_stop(vsock);
    if (vsock->listen_fd >= 0)
        (void)close(vsock->listen_fd);
    if (vsock->socket_path != NULL)
        (void)unlink(vsock->socket_path);
    free(vsock->socket_path);
}

/* SPDX-License-Identifier: MIT */
/* Leads unix sockets of the runtime directory to the guest by AF_VSOCK, and the other way. */

/*
 * Theory of operation
 *
 * A stream is half open until both of its sockets are there: a client has not said CONNECT
 * yet, the guest has not answered, or the socket that the guest asked for is busy (unix
 * sockets cannot be waited for; connecting is tried again). Half-open ones are bounded in
 * number and each has a deadline. When there are too many, new clients wait in the
 * socket's backlog, and new connections of the guest to busy sockets are closed. Then a relay
 * (socket-relay.h) has both sockets and the stream only waits for its end.
 *
 * The driver in the guest comes and goes with its boots; the sockets stay.
 */
#include "kvm/vsock-bridge.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <linux/vm_sockets.h>

#include "kvm/socket-relay.h"
#include "kvm/virtio/vsock-line.h"
#include "kvm/vsock-ports.h"
#include "lib/base/cleanup.h"
#include "lib/base/deadline.h"
#include "lib/base/unix-socket.h"

#define ACCEPT_MAX 16
#define RETRY_MS   20

enum stream_state {
    STREAM_CLIENT,  /* on host_fd: CONNECT has not come */
    STREAM_DIALING, /* on guest_fd: the guest has not answered */
    STREAM_WAITING, /* for the socket at path to be less busy */
    STREAM_OPEN,
};

struct stream {
    struct vsock_bridge *bridge;
    TAILQ_ENTRY(stream) all; /* in half_open or in open */
    enum stream_state state;
    int64_t deadline; /* CLOCK_MONOTONIC, ms; of half-open ones */
    int host_fd, guest_fd;
    struct event_source *source;
    struct vsock_line line;
    char *path;
    struct socket_relay *relay;
};

TAILQ_HEAD(stream_list, stream);

struct vsock_bridge {
    struct event_loop *loop;
    char *socket_path;
    uint32_t guest_cid;
    unsigned int max_connections;
    unsigned int deadline_ms;
    bool has_driver;
    int listen_fd;
    struct event_source *listen_source;
    struct event_source *timer;
    struct stream_list half_open; /* the earliest deadline first */
    struct stream_list open;
    unsigned int half_open_count, count;
    bool is_accept_paused; /* out of descriptors: the timer tries again */
    struct vsock_ports *ports;
    vsock_accept_fn *accept;
    void *accept_opaque;
};

/* ---- Streams ---- */

static bool may_accept(const struct vsock_bridge *bridge)
{
    return !bridge->is_accept_paused && bridge->half_open_count < VSOCK_MAX_HALF_OPEN &&
           bridge->count < bridge->max_connections;
}

static void watch_listener(struct vsock_bridge *bridge)
{
    event_modify(bridge->listen_source, may_accept(bridge) ? EPOLLIN : 0);
}

/* Sets the timer for what is due next. */
static void arm(struct vsock_bridge *bridge)
{
    const struct stream *stream = TAILQ_FIRST(&bridge->half_open);
    int64_t now = deadline_now(), next = stream != NULL ? stream->deadline : DEADLINE_NEVER;
    bool is_retry = bridge->is_accept_paused;

    TAILQ_FOREACH(stream, &bridge->half_open, all)
    is_retry = is_retry || stream->state == STREAM_WAITING;
    if (is_retry && now + RETRY_MS < next)
        next = now + RETRY_MS;
    if (next == DEADLINE_NEVER)
        event_timer_set(bridge->timer, -1);
    else
        event_timer_set(bridge->timer, next > now ? next - now : 0);
}

static struct stream *stream_new(struct vsock_bridge *bridge, enum stream_state state)
{
    struct stream *stream = calloc(1, sizeof(*stream));

    if (stream == NULL)
        return NULL;
    stream->bridge = bridge;
    stream->state = state;
    stream->host_fd = stream->guest_fd = -1;
    /* All are equally far away, so the list stays sorted. */
    stream->deadline = deadline_in(bridge->deadline_ms);
    TAILQ_INSERT_TAIL(&bridge->half_open, stream, all);
    bridge->half_open_count++;
    bridge->count++;
    return stream;
}

static void leave_half_open(struct stream *stream)
{
    TAILQ_REMOVE(&stream->bridge->half_open, stream, all);
    stream->bridge->half_open_count--;
}

static void stream_free(struct stream *stream)
{
    struct vsock_bridge *bridge = stream->bridge;

    if (stream->state == STREAM_OPEN)
        TAILQ_REMOVE(&bridge->open, stream, all);
    else
        leave_half_open(stream);
    bridge->count--;
    event_remove(stream->source);
    socket_relay_free(stream->relay);
    if (stream->host_fd >= 0)
        (void)close(stream->host_fd);
    if (stream->guest_fd >= 0)
        (void)close(stream->guest_fd);
    free(stream->path);
    free(stream);
    watch_listener(bridge);
}

static void on_relay_done(void *opaque)
{
    stream_free(opaque);
}

/* Both sockets are there. */
static void open_stream(struct stream *stream)
{
    struct vsock_bridge *bridge = stream->bridge;

    event_remove(stream->source);
    stream->source = NULL;
    leave_half_open(stream);
    stream->state = STREAM_OPEN;
    TAILQ_INSERT_TAIL(&bridge->open, stream, all);
    stream->relay = socket_relay_new(bridge->loop, move_fd(stream->host_fd),
                                     move_fd(stream->guest_fd), on_relay_done, stream);
    if (stream->relay == NULL)
        stream_free(stream);
    else
        watch_listener(bridge);
}

/* ---- From clients to the guest ---- */

/* The guest has answered, or never will. */
static void on_dialled(void *opaque, uint32_t events)
{
    struct stream *stream = opaque;
    struct sockaddr_vm own = {.svm_port = 0};
    socklen_t size = sizeof(int);
    char answer[32];
    int code = 0, length;

    (void)events;
    if (getsockopt(stream->guest_fd, SOL_SOCKET, SO_ERROR, &code, &size) < 0 || code != 0) {
        stream_free(stream);
        return;
    }
    size = sizeof(own);
    (void)getsockname(stream->guest_fd, (struct sockaddr *)&own, &size);
    length = snprintf(answer, sizeof(answer), "OK %u\n", own.svm_port);
    /* Nothing was sent to this client before, so it fits, or the client is gone. */
    if (send(stream->host_fd, answer, (size_t)length, MSG_NOSIGNAL) != length)
        stream_free(stream);
    else
        open_stream(stream);
}

static void dial(struct stream *stream, uint32_t port)
{
    struct vsock_bridge *bridge = stream->bridge;
    const struct sockaddr_vm address = {
        .svm_family = AF_VSOCK, .svm_cid = bridge->guest_cid, .svm_port = port};
    const struct timeval timeout = {.tv_sec = (bridge->deadline_ms + 999) / 1000};

    event_remove(stream->source);
    stream->source = NULL;
    stream->state = STREAM_DIALING;
    stream->guest_fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    /* The kernel's own is two seconds. */
    (void)setsockopt(stream->guest_fd, AF_VSOCK, SO_VM_SOCKETS_CONNECT_TIMEOUT, &timeout,
                     sizeof(timeout));
    if (stream->guest_fd >= 0 &&
        (connect(stream->guest_fd, (const struct sockaddr *)&address, sizeof(address)) == 0 ||
         errno == EINPROGRESS))
        stream->source = event_add(bridge->loop, stream->guest_fd, EPOLLOUT, on_dialled, stream);
    if (stream->source == NULL)
        stream_free(stream);
}

static void on_client(void *opaque, uint32_t events)
{
    struct stream *stream = opaque;
    uint32_t port;
    int code = vsock_line_read(&stream->line, stream->host_fd, &port);

    (void)events;
    if (code < 0)
        stream_free(stream);
    else if (code > 0)
        dial(stream, port);
}

static void on_listen(void *opaque, uint32_t events)
{
    struct vsock_bridge *bridge = opaque;

    (void)events;
    for (int i = 0; i < ACCEPT_MAX && may_accept(bridge); i++) {
        int fd = accept4(bridge->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        struct stream *stream;

        if (fd < 0 && (errno == EINTR || errno == ECONNABORTED))
            continue;
        if (fd < 0) {
            /* Out of descriptors or memory: the clients wait in the backlog. */
            bridge->is_accept_paused = errno != EAGAIN;
            break;
        }
        stream = bridge->has_driver ? stream_new(bridge, STREAM_CLIENT) : NULL;
        if (stream == NULL) {
            (void)close(fd); /* nobody could answer */
            continue;
        }
        stream->host_fd = fd;
        stream->source = event_add(bridge->loop, fd, EPOLLIN, on_client, stream);
        if (stream->source == NULL)
            stream_free(stream);
    }
    watch_listener(bridge);
    arm(bridge);
}

/* ---- From the guest to the host ---- */

/* Connects to the socket at path, unless it is too busy for the moment. */
static void reach(struct stream *stream)
{
    int fd = unix_connect_nonblock(stream->path);

    if (fd >= 0) {
        stream->host_fd = fd;
        open_stream(stream);
    } else if (fd != -EAGAIN) {
        stream_free(stream);
    }
}

/* A pair whose other end is served in the launcher. */
static int serve_here(struct vsock_bridge *bridge)
{
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) < 0)
        return -1;
    if (bridge->accept(bridge->accept_opaque, pair[1]))
        return pair[0];
    (void)close(pair[0]);
    return -1;
}

static void on_guest(void *opaque, int fd, uint32_t port, const char *path)
{
    struct vsock_bridge *bridge = opaque;
    struct stream *stream = NULL;

    (void)port;
    if (bridge->count < bridge->max_connections && bridge->half_open_count < VSOCK_MAX_HALF_OPEN)
        stream = stream_new(bridge, STREAM_WAITING);
    if (stream == NULL) {
        (void)close(fd);
        return;
    }
    stream->guest_fd = fd;
    if (path == NULL) {
        stream->host_fd = serve_here(bridge);
        if (stream->host_fd >= 0)
            open_stream(stream);
        else
            stream_free(stream);
        return;
    }
    stream->path = strdup(path);
    if (stream->path == NULL)
        stream_free(stream);
    else
        reach(stream);
    arm(bridge);
}

static void on_timer(void *opaque)
{
    struct vsock_bridge *bridge = opaque;
    struct stream *stream, *next;
    int64_t now = deadline_now();

    bridge->is_accept_paused = false;
    for (stream = TAILQ_FIRST(&bridge->half_open); stream != NULL; stream = next) {
        next = TAILQ_NEXT(stream, all);
        if (stream->deadline <= now)
            stream_free(stream);
        else if (stream->state == STREAM_WAITING)
            reach(stream);
    }
    watch_listener(bridge);
    arm(bridge);
}

/* ---- Life ---- */

static int set_up(struct vsock_bridge *bridge, struct crosh_error *err)
{
    bridge->timer = event_timer_add(bridge->loop, on_timer, bridge);
    if (bridge->socket_path == NULL || bridge->timer == NULL)
        return crosh_error_errno(err, "vsock");
    bridge->listen_fd = unix_listen(bridge->socket_path, err);
    if (bridge->listen_fd < 0)
        return bridge->listen_fd;
    bridge->listen_source = event_add(bridge->loop, bridge->listen_fd, EPOLLIN, on_listen, bridge);
    if (bridge->listen_source == NULL)
        return crosh_error_errno(err, "%s", bridge->socket_path);
    bridge->ports = vsock_ports_new(bridge->loop, bridge->socket_path, bridge->guest_cid, on_guest,
                                    bridge, err);
    return bridge->ports != NULL ? 0 : err->code;
}

struct vsock_bridge *vsock_bridge_new(struct event_loop *loop, const struct vsock_config *config,
                                      struct crosh_error *err)
{
    struct vsock_bridge *bridge = calloc(1, sizeof(*bridge));

    if (bridge == NULL) {
        crosh_error_set(err, -ENOMEM, "out of memory");
        return NULL;
    }
    bridge->loop = loop;
    bridge->guest_cid = (uint32_t)config->guest_cid;
    bridge->max_connections =
        config->max_connections != 0 ? config->max_connections : VSOCK_DEFAULT_CONNECTIONS;
    bridge->deadline_ms =
        config->deadline_ms != 0 ? config->deadline_ms : VSOCK_DEFAULT_DEADLINE_MS;
    bridge->listen_fd = -1;
    TAILQ_INIT(&bridge->half_open);
    TAILQ_INIT(&bridge->open);
    bridge->socket_path = strdup(config->socket_path);
    if (set_up(bridge, err) < 0) {
        vsock_bridge_free(bridge);
        return NULL;
    }
    return bridge;
}

int vsock_bridge_listen(struct vsock_bridge *bridge, uint32_t *port, vsock_accept_fn *accept_fn,
                        void *opaque, struct crosh_error *err)
{
    bridge->accept = accept_fn;
    bridge->accept_opaque = opaque;
    return vsock_ports_serve(bridge->ports, port, err);
}

void vsock_bridge_set_driver(struct vsock_bridge *bridge, bool is_there)
{
    struct stream *stream;

    bridge->has_driver = is_there;
    if (is_there)
        return;
    while ((stream = TAILQ_FIRST(&bridge->half_open)) != NULL)
        stream_free(stream);
    while ((stream = TAILQ_FIRST(&bridge->open)) != NULL)
        stream_free(stream);
}

void vsock_bridge_free(struct vsock_bridge *bridge)
{
    if (bridge == NULL)
        return;
    vsock_bridge_set_driver(bridge, false);
    vsock_ports_free(bridge->ports);
    event_remove(bridge->listen_source);
    event_remove(bridge->timer);
    if (bridge->listen_fd >= 0) {
        (void)close(bridge->listen_fd);
        (void)unlink(bridge->socket_path);
    }
    free(bridge->socket_path);
    free(bridge);
}

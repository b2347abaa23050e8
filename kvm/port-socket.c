/* SPDX-License-Identifier: MIT */
/* Implements named ports' sockets. */

/*
 * Either direction is held up at its source: what the client does not read stays in the
 * guest's queue, and what the guest does not take stays in the client's socket. While the
 * guest has no room the client is watched for nothing but its leaving; one that has left by
 * then has lost what the guest did not take.
 */
#include "kvm/port-socket.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define CHUNK 4096

struct port_socket {
    struct event_loop *loop;
    char name[VIRTIO_CONSOLE_NAME_MAX + 1];
    const struct port_guest_ops *ops;
    void *guest;
    struct virtio_device *console; /* with number: a guest's end of this file's own */
    unsigned int number;
    int listen_fd, client_fd; /* client_fd -1: nobody */
    struct event_source *listener, *client;
    bool wants_output; /* the guest has more than the client took */
    bool is_leaving;   /* the client has, and the guest still takes what it said last */
};

static void watch(struct port_socket *port)
{
    uint32_t events = EPOLLHUP;

    if (port->is_leaving) {
        event_modify(port->client, 0);
        return;
    }
    if (port->ops->room(port->guest) > 0)
        events |= EPOLLIN;
    if (port->wants_output)
        events |= EPOLLOUT;
    event_modify(port->client, events);
}

static void hang_up(struct port_socket *port)
{
    event_remove(port->client);
    (void)close(port->client_fd);
    port->client = NULL;
    port->client_fd = -1;
    port->wants_output = port->is_leaving = false;
    port->ops->connect(port->guest, false);
}

/* The client has gone; its port is free once the guest has what was read of it. */
static void leave(struct port_socket *port)
{
    port->is_leaving = true;
    if (port->ops->is_idle(port->guest))
        hang_up(port);
    else
        watch(port);
}

static void on_client(void *opaque, uint32_t events)
{
    struct port_socket *port = opaque;
    size_t room = port->ops->room(port->guest);
    uint8_t data[CHUNK];
    ssize_t n;

    if ((events & EPOLLOUT) != 0) {
        port->wants_output = false;
        port->ops->drain(port->guest);
    }
    if (port->client == NULL)
        return;
    if (room > 0 && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) {
        n = recv(port->client_fd, data, room < sizeof(data) ? room : sizeof(data), MSG_DONTWAIT);
        if (n > 0) {
            (void)port->ops->input(port->guest, data, (size_t)n);
        } else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
            leave(port);
            return;
        }
    } else if ((events & (EPOLLHUP | EPOLLERR)) != 0) {
        /* What it sent before it left may still be in the socket: that is read when there is room.
         */
        if (port->ops->is_idle(port->guest))
            leave(port);
        else
            event_modify(port->client, 0);
        return;
    }
    watch(port);
}

int port_socket_adopt(struct port_socket *port, int fd, struct crosh_error *err)
{
    int code = 0;

    if (port->client_fd >= 0)
        code = crosh_error_set(err, -EBUSY, "somebody uses port %s already", port->name);
    else if (fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) < 0)
        code = crosh_error_errno(err, "port %s", port->name);
    else if ((port->client = event_add(port->loop, fd, EPOLLHUP, on_client, port)) == NULL)
        code = crosh_error_errno(err, "port %s", port->name);
    if (code < 0) {
        (void)close(fd);
        return code;
    }
    port->client_fd = fd;
    port->ops->connect(port->guest, true);
    watch(port);
    return 0;
}

static void on_connect(void *opaque, uint32_t events)
{
    struct port_socket *port = opaque;
    int fd = accept4(port->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    (void)events;
    if (fd >= 0)
        (void)port_socket_adopt(port, fd, NULL);
}

static size_t on_output(void *opaque, const void *data, size_t size)
{
    struct port_socket *port = opaque;
    ssize_t n;

    if (port->client_fd < 0)
        return size;
    n = send(port->client_fd, data, size, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0 && errno != EAGAIN && errno != EINTR)
        return size; /* its leaving is an event of its own */
    if (n < (ssize_t)size) {
        port->wants_output = true;
        watch(port);
    }
    return n > 0 ? (size_t)n : 0;
}

static void on_room(void *opaque)
{
    struct port_socket *port = opaque;

    if (port->client == NULL)
        return;
    if (port->is_leaving && port->ops->is_idle(port->guest))
        hang_up(port);
    else
        watch(port);
}

const struct virtio_console_port_ops port_socket_ops = {.output = on_output, .room = on_room};

struct port_socket *port_socket_new(struct event_loop *loop, const char *name, int listen_fd,
                                    struct crosh_error *err)
{
    struct port_socket *port = calloc(1, sizeof(*port));

    if (port == NULL) {
        crosh_error_errno(err, "port %s", name);
        return NULL;
    }
    *port = (struct port_socket){.loop = loop, .listen_fd = listen_fd, .client_fd = -1};
    (void)snprintf(port->name, sizeof(port->name), "%s", name);
    port->listener = event_add(loop, listen_fd, EPOLLIN, on_connect, port);
    if (port->listener == NULL) {
        crosh_error_errno(err, "port %s", name);
        free(port);
        return NULL;
    }
    return port;
}

void port_socket_set_guest(struct port_socket *port, const struct port_guest_ops *ops, void *guest)
{
    port->ops = ops;
    port->guest = guest;
}

bool port_socket_is(const struct port_socket *port, const char *name)
{
    return strcmp(port->name, name) == 0;
}

/* ---- A port of our console as the guest's end ---- */

static void console_connect(void *guest, bool is_open)
{
    const struct port_socket *port = guest;

    virtio_console_port_connect(port->console, port->number, is_open);
}

static size_t console_input(void *guest, const void *data, size_t size)
{
    const struct port_socket *port = guest;

    return virtio_console_port_input(port->console, port->number, data, size);
}

static size_t console_room(void *guest)
{
    const struct port_socket *port = guest;

    return virtio_console_port_room(port->console, port->number);
}

static bool console_is_idle(void *guest)
{
    const struct port_socket *port = guest;

    return virtio_console_port_is_idle(port->console, port->number);
}

static void console_drain(void *guest)
{
    const struct port_socket *port = guest;

    virtio_console_port_drain(port->console, port->number);
}

int port_socket_add_to_console(struct port_socket *port, struct virtio_device *console,
                               struct crosh_error *err)
{
    static const struct port_guest_ops ops = {.connect = console_connect,
                                              .input = console_input,
                                              .room = console_room,
                                              .is_idle = console_is_idle,
                                              .drain = console_drain};
    int number = virtio_console_add_port(console, port->name, &port_socket_ops, port);

    if (number < 0)
        return crosh_error_set(err, number, "port %s: %s", port->name, strerror(-number));
    port->console = console;
    port->number = (unsigned int)number;
    port_socket_set_guest(port, &ops, port);
    return 0;
}

void port_socket_free(struct port_socket *port)
{
    if (port == NULL)
        return;
    if (port->client != NULL)
        hang_up(port);
    event_remove(port->listener);
    free(port);
}

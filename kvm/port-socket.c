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
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define CHUNK 4096

struct port_socket {
    struct event_loop *loop;
    struct virtio_device *console;
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
    if (virtio_console_port_room(port->console, port->number) > 0)
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
    virtio_console_port_connect(port->console, port->number, false);
}

/* The client has gone; its port is free once the guest has what was read of it. */
static void leave(struct port_socket *port)
{
    port->is_leaving = true;
    if (virtio_console_port_is_idle(port->console, port->number))
        hang_up(port);
    else
        watch(port);
}

static void on_client(void *opaque, uint32_t events)
{
    struct port_socket *port = opaque;
    size_t room = virtio_console_port_room(port->console, port->number);
    uint8_t data[CHUNK];
    ssize_t n;

    if ((events & EPOLLOUT) != 0) {
        port->wants_output = false;
        virtio_console_port_drain(port->console, port->number);
    }
    if (port->client == NULL)
        return;
    if (room > 0 && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) {
        n = recv(port->client_fd, data, room < sizeof(data) ? room : sizeof(data), MSG_DONTWAIT);
        if (n > 0) {
            (void)virtio_console_port_input(port->console, port->number, data, (size_t)n);
        } else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
            leave(port);
            return;
        }
    } else if ((events & (EPOLLHUP | EPOLLERR)) != 0) {
        /* What it sent before it left may still be in the socket: that is read when there is room.
         */
        if (virtio_console_port_is_idle(port->console, port->number))
            leave(port);
        else
            event_modify(port->client, 0);
        return;
    }
    watch(port);
}

static void on_connect(void *opaque, uint32_t events)
{
    struct port_socket *port = opaque;
    int fd = accept4(port->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    (void)events;
    if (fd < 0)
        return;
    if (port->client_fd < 0)
        port->client = event_add(port->loop, fd, EPOLLHUP, on_client, port);
    if (port->client_fd >= 0 || port->client == NULL) {
        (void)close(fd);
        return;
    }
    port->client_fd = fd;
    virtio_console_port_connect(port->console, port->number, true);
    watch(port);
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
    if (port->is_leaving && virtio_console_port_is_idle(port->console, port->number))
        hang_up(port);
    else
        watch(port);
}

struct port_socket *port_socket_new(struct event_loop *loop, struct virtio_device *console,
                                    const char *name, int listen_fd, struct crosh_error *err)
{
    static const struct virtio_console_port_ops ops = {.output = on_output, .room = on_room};
    struct port_socket *port = calloc(1, sizeof(*port));
    int number;

    if (port == NULL) {
        crosh_error_errno(err, "port %s", name);
        return NULL;
    }
    *port = (struct port_socket){
        .loop = loop, .console = console, .listen_fd = listen_fd, .client_fd = -1};
    port->listener = event_add(loop, listen_fd, EPOLLIN, on_connect, port);
    number = port->listener != NULL ? virtio_console_add_port(console, name, &ops, port) : -errno;
    if (number < 0) {
        crosh_error_set(err, number, "port %s: %s", name, strerror(-number));
        event_remove(port->listener);
        free(port);
        return NULL;
    }
    port->number = (unsigned int)number;
    return port;
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

/* SPDX-License-Identifier: MIT */
/* Listens at AF_VSOCK ports as sockets come and go in the runtime directory. */

/*
 * The host's AF_VSOCK ports are one space for all programs and all guests: whoever binds
 * one gets the connections of every guest. So the peer's address is compared first thing.
 */
#include "kvm/vsock-ports.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/vm_sockets.h>

#include "lib/base/cleanup.h"

#define PORTS_MAX  64
#define BACKLOG    128
#define ACCEPT_MAX 16 /* in one turn */
#define RETRY_MS   20

struct listener {
    struct vsock_ports *ports;
    uint32_t port;
    int fd; /* -1: free */
    struct event_source *source;
    bool is_own; /* served in here */
};

struct vsock_ports {
    struct event_loop *loop;
    char *socket_path;
    const char *prefix; /* the last component of socket_path */
    uint32_t guest_cid;
    vsock_ports_fn *fn;
    void *opaque;
    int inotify_fd;
    struct event_source *source;
    struct event_source *timer; /* tries again what failed for the moment */
    struct listener listener[PORTS_MAX];
};

static void on_connection(void *opaque, uint32_t events)
{
    struct listener *listener = opaque;
    struct vsock_ports *ports = listener->ports;
    cleanup_free char *path = NULL;

    (void)events;
    if (!listener->is_own && asprintf(&path, "%s_%u", ports->socket_path, listener->port) < 0) {
        path = NULL;
        return;
    }
    for (unsigned int i = 0; i < ACCEPT_MAX && listener->fd >= 0; i++) {
        struct sockaddr_vm peer = {.svm_cid = VMADDR_CID_ANY};
        socklen_t size = sizeof(peer);
        int fd =
            accept4(listener->fd, (struct sockaddr *)&peer, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);

        if (fd < 0 && (errno == EINTR || errno == ECONNABORTED))
            continue;
        if (fd < 0) {
            if (errno != EAGAIN) {
                /* Out of descriptors or memory: the guest waits in the backlog. */
                event_modify(listener->source, 0);
                event_timer_set(ports->timer, RETRY_MS);
            }
            return;
        }
        if (peer.svm_cid == ports->guest_cid)
            ports->fn(ports->opaque, fd, listener->port, path);
        else
            (void)close(fd);
    }
}

static void on_timer(void *opaque)
{
    struct vsock_ports *ports = opaque;

    for (unsigned int i = 0; i < PORTS_MAX; i++)
        if (ports->listener[i].fd >= 0)
            event_modify(ports->listener[i].source, EPOLLIN);
}

static int listen_at(struct vsock_ports *ports, uint32_t port, bool is_own)
{
    const struct sockaddr_vm address = {
        .svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_ANY, .svm_port = port};
    cleanup_close int fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct listener *listener = NULL;

    for (unsigned int i = 0; i < PORTS_MAX && listener == NULL; i++)
        if (ports->listener[i].fd < 0)
            listener = &ports->listener[i];
    if (listener == NULL)
        return -ENOSPC;
    if (fd < 0 || bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 ||
        listen(fd, BACKLOG) < 0)
        return -errno;
    listener->source = event_add(ports->loop, fd, EPOLLIN, on_connection, listener);
    if (listener->source == NULL)
        return -ENOMEM;
    listener->ports = ports;
    listener->port = port;
    listener->is_own = is_own;
    listener->fd = move_fd(fd);
    return 0;
}

static void close_listener(struct listener *listener)
{
    if (listener->fd < 0)
        return;
    event_remove(listener->source);
    (void)close(listener->fd);
    listener->fd = -1;
}

/* The port of a socket by its name; false: it is another file. */
static bool port_of(const struct vsock_ports *ports, const char *name, uint32_t *port)
{
    size_t skip = strlen(ports->prefix);
    uint64_t value = 0;

    if (strncmp(name, ports->prefix, skip) != 0 || name[skip] != '_' || name[skip + 1] == '\0')
        return false;
    for (const char *digit = name + skip + 1; *digit != '\0'; digit++) {
        if (*digit < '0' || *digit > '9')
            return false;
        value = value * 10 + (uint64_t)(*digit - '0');
        if (value >= VMADDR_PORT_ANY)
            return false;
    }
    *port = (uint32_t)value;
    return true;
}

static struct listener *find(struct vsock_ports *ports, uint32_t port)
{
    for (unsigned int i = 0; i < PORTS_MAX; i++)
        if (ports->listener[i].fd >= 0 && ports->listener[i].port == port)
            return &ports->listener[i];
    return NULL;
}

static void on_name(struct vsock_ports *ports, const char *name, bool is_there)
{
    struct listener *listener;
    uint32_t port;
    int code;

    if (!port_of(ports, name, &port))
        return;
    listener = find(ports, port);
    if (!is_there) {
        if (listener != NULL && !listener->is_own)
            close_listener(listener);
        return;
    }
    if (listener != NULL)
        return;
    code = listen_at(ports, port, false);
    if (code < 0)
        fprintf(stderr, "crosh-vm: the guest cannot reach %s: vsock port %u of this host: %s\n",
                name, port, strerror(-code));
}

static void on_change(void *opaque, uint32_t events)
{
    struct vsock_ports *ports = opaque;
    char buffer[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
    ssize_t size = read(ports->inotify_fd, buffer, sizeof(buffer));

    (void)events;
    for (ssize_t at = 0; at < size;) {
        const struct inotify_event *event = (const void *)(buffer + at);

        if (event->len > 0)
            on_name(ports, event->name, (event->mask & (IN_CREATE | IN_MOVED_TO)) != 0);
        at += (ssize_t)(sizeof(*event) + event->len);
    }
}

/* Those that are there already. */
static int scan(struct vsock_ports *ports, const char *dir, struct crosh_error *err)
{
    DIR *stream = opendir(dir);
    const struct dirent *entry;

    if (stream == NULL)
        return crosh_error_errno(err, "%s", dir);
    while ((entry = readdir(stream)) != NULL)
        on_name(ports, entry->d_name, true);
    (void)closedir(stream);
    return 0;
}

static int set_up(struct vsock_ports *ports, struct crosh_error *err)
{
    const char *slash = strrchr(ports->socket_path, '/');
    cleanup_free char *dir = NULL;

    dir = slash != NULL ? strndup(ports->socket_path, (size_t)(slash - ports->socket_path))
                        : strdup(".");
    ports->prefix = slash != NULL ? slash + 1 : ports->socket_path;
    ports->inotify_fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (dir == NULL || ports->inotify_fd < 0 ||
        inotify_add_watch(ports->inotify_fd, dir,
                          IN_CREATE | IN_MOVED_TO | IN_DELETE | IN_MOVED_FROM) < 0)
        return crosh_error_errno(err, "watching %s", ports->socket_path);
    ports->source = event_add(ports->loop, ports->inotify_fd, EPOLLIN, on_change, ports);
    ports->timer = event_timer_add(ports->loop, on_timer, ports);
    if (ports->source == NULL || ports->timer == NULL)
        return crosh_error_errno(err, "watching %s", dir);
    return scan(ports, dir, err);
}

struct vsock_ports *vsock_ports_new(struct event_loop *loop, const char *socket_path,
                                    uint32_t guest_cid, vsock_ports_fn *fn, void *opaque,
                                    struct crosh_error *err)
{
    struct vsock_ports *ports = calloc(1, sizeof(*ports));

    if (ports == NULL) {
        crosh_error_set(err, -ENOMEM, "out of memory");
        return NULL;
    }
    ports->loop = loop;
    ports->guest_cid = guest_cid;
    ports->fn = fn;
    ports->opaque = opaque;
    ports->inotify_fd = -1;
    for (unsigned int i = 0; i < PORTS_MAX; i++)
        ports->listener[i].fd = -1;
    ports->socket_path = strdup(socket_path);
    if (ports->socket_path == NULL || set_up(ports, err) < 0) {
        if (ports->socket_path == NULL)
            crosh_error_set(err, -ENOMEM, "out of memory");
        vsock_ports_free(ports);
        return NULL;
    }
    return ports;
}

int vsock_ports_serve(struct vsock_ports *ports, uint32_t *port, struct crosh_error *err)
{
    int code = listen_at(ports, *port, true);
    struct listener *listener;
    struct sockaddr_vm address;
    socklen_t size = sizeof(address);

    if (code == 0)
        return 0;
    if (code == -EADDRINUSE)
        code = listen_at(ports, VMADDR_PORT_ANY, true);
    listener = find(ports, VMADDR_PORT_ANY);
    if (code == 0 && getsockname(listener->fd, (struct sockaddr *)&address, &size) < 0)
        code = -errno;
    if (code < 0)
        return crosh_error_set(err, code, "vsock port %u of this host: %s", *port, strerror(-code));
    *port = listener->port = address.svm_port;
    return 0;
}

void vsock_ports_free(struct vsock_ports *ports)
{
    if (ports == NULL)
        return;
    for (unsigned int i = 0; i < PORTS_MAX; i++)
        close_listener(&ports->listener[i]);
    event_remove(ports->source);
    event_remove(ports->timer);
    if (ports->inotify_fd >= 0)
        (void)close(ports->inotify_fd);
    free(ports->socket_path);
    free(ports);
}

/* SPDX-License-Identifier: MIT */
/* Implements named ports under QEMU. */

/*
 * QEMU drops what a client of its socket sent if the client leaves before the guest has taken it,
 * and takes it when the guest's program is not there to read. So clients are ours
 * (port-socket.c, as on KVM), and QEMU has a socket of its own for each port, which has no name in
 * any file system. We dial it when a client comes; send only while the guest has the port
 * open, which QEMU tells; and hang up when QEMU has read all that the client said.
 */
#include "kvm/backend/qemu-ports.h"

#include <errno.h>
#include <linux/sockios.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "kvm/port-socket.h"

#define CHUNK 4096
/* What may lie between us and QEMU. */
#define PENDING_MAX (64 * 1024)
/* How often to look whether QEMU has read it, once the client has left. */
#define IDLE_INTERVAL_MS 20

struct qemu_port {
    struct port_socket *socket;
    struct event_loop *loop;
    const char *name;
    int listen_fd; /* for QEMU; -1: it has it */
    struct sockaddr_un address;
    socklen_t address_size;
    bool is_guest_open;
    int fd; /* to QEMU; -1: nobody is connected */
    struct event_source *source, *timer;
    size_t size, sent; /* of what the guest wrote and the client did not take yet */
    uint8_t data[CHUNK];
};

struct qemu_ports {
    unsigned int count;
    struct qemu_port port[VIRTIO_CONSOLE_MAX_PORTS];
};

/* Bytes that QEMU has not read, with what they cost the kernel. */
static size_t pending(const struct qemu_port *port)
{
    int bytes = 0;

    return port->fd >= 0 && ioctl(port->fd, SIOCOUTQ, &bytes) == 0 ? (size_t)bytes : 0;
}

/* Hands the client what the guest wrote, as far as it takes it. */
static void pass_on(struct qemu_port *port)
{
    if (port->size > port->sent)
        port->sent +=
            port_socket_ops.output(port->socket, port->data + port->sent, port->size - port->sent);
    if (port->sent == port->size)
        port->sent = port->size = 0;
}

static void watch(struct qemu_port *port)
{
    if (port->source != NULL)
        event_modify(port->source, (port->size == 0 ? EPOLLIN : 0) |
                                       (pending(port) >= PENDING_MAX ? EPOLLOUT : 0));
}

static void on_qemu(void *opaque, uint32_t events)
{
    struct qemu_port *port = opaque;
    ssize_t n;

    if (port->size == 0 && (events & EPOLLIN) != 0) {
        n = recv(port->fd, port->data, sizeof(port->data), MSG_DONTWAIT);
        if (n > 0)
            port->size = (size_t)n;
        pass_on(port);
    } else if ((events & (EPOLLHUP | EPOLLERR)) != 0) {
        event_modify(port->source, 0); /* QEMU's end is told elsewhere */
        return;
    }
    if (port->fd >= 0)
        port_socket_ops.room(port->socket);
    watch(port);
}

static void on_timer(void *opaque)
{
    struct qemu_port *port = opaque;

    port_socket_ops.room(port->socket);
    if (port->fd >= 0 && pending(port) > 0)
        event_timer_set(port->timer, IDLE_INTERVAL_MS);
}

static void hang_up(struct qemu_port *port)
{
    event_remove(port->source);
    port->source = NULL;
    if (port->fd >= 0)
        (void)close(port->fd);
    port->fd = -1;
    port->size = port->sent = 0;
}

static void port_connect(void *guest, bool is_open)
{
    struct qemu_port *port = guest;

    hang_up(port);
    if (!is_open)
        return;
    port->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (port->fd >= 0 &&
        connect(port->fd, (const struct sockaddr *)&port->address, port->address_size) == 0)
        port->source = event_add(port->loop, port->fd, EPOLLIN, on_qemu, port);
    if (port->source == NULL) {
        fprintf(stderr, "crosh-vm: port %s: %s\n", port->name, strerror(errno));
        hang_up(port);
    }
}

static size_t port_room(void *guest)
{
    const struct qemu_port *port = guest;
    size_t used = pending(port);

    return port->is_guest_open && port->source != NULL && used < PENDING_MAX ? PENDING_MAX - used
                                                                             : 0;
}

static size_t port_input(void *guest, const void *data, size_t size)
{
    struct qemu_port *port = guest;
    ssize_t n = port->fd >= 0 ? send(port->fd, data, size, MSG_NOSIGNAL | MSG_DONTWAIT) : -1;

    watch(port);
    return n > 0 ? (size_t)n : 0;
}

static bool port_is_idle(void *guest)
{
    struct qemu_port *port = guest;

    if (!port->is_guest_open || pending(port) == 0)
        return true;
    event_timer_set(port->timer, IDLE_INTERVAL_MS);
    return false;
}

static void port_drain(void *guest)
{
    struct qemu_port *port = guest;

    pass_on(port);
    watch(port);
}

static const struct port_guest_ops port_ops = {.connect = port_connect,
                                               .input = port_input,
                                               .room = port_room,
                                               .is_idle = port_is_idle,
                                               .drain = port_drain};

/* A listening socket whose address the kernel chooses; it is in our network namespace alone. */
static int listen_unnamed(struct qemu_port *port, struct crosh_error *err)
{
    const struct sockaddr any = {.sa_family = AF_UNIX};

    port->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    port->address_size = sizeof(port->address);
    if (port->listen_fd < 0 || bind(port->listen_fd, &any, sizeof(any.sa_family)) < 0 ||
        listen(port->listen_fd, 1) < 0 ||
        getsockname(port->listen_fd, (struct sockaddr *)&port->address, &port->address_size) < 0)
        return crosh_error_errno(err, "port %s", port->name);
    return 0;
}

static int set_up(struct qemu_port *port, const struct machine_port *config,
                  struct crosh_error *err)
{
    port->name = config->name;
    port->timer = event_timer_add(port->loop, on_timer, port);
    if (port->timer == NULL)
        return crosh_error_errno(err, "port %s", port->name);
    if (listen_unnamed(port, err) < 0)
        return err->code;
    port->socket = port_socket_new(port->loop, config->name, config->listen_fd, err);
    if (port->socket == NULL)
        return err->code;
    port_socket_set_guest(port->socket, &port_ops, port);
    return 0;
}

struct qemu_ports *qemu_ports_new(struct event_loop *loop, const struct machine_config *config,
                                  struct crosh_error *err)
{
    struct qemu_ports *ports = calloc(1, sizeof(*ports));

    if (ports == NULL) {
        crosh_error_set(err, -ENOMEM, "out of memory");
        return NULL;
    }
    for (unsigned int i = 0; i < config->port_count; i++) {
        ports->port[i] = (struct qemu_port){.loop = loop, .listen_fd = -1, .fd = -1};
        ports->count++;
        if (set_up(&ports->port[i], &config->port[i], err) < 0) {
            qemu_ports_free(ports);
            return NULL;
        }
    }
    return ports;
}

void qemu_ports_free(struct qemu_ports *ports)
{
    if (ports == NULL)
        return;
    qemu_ports_spawned(ports);
    for (unsigned int i = 0; i < ports->count; i++) {
        port_socket_free(ports->port[i].socket);
        hang_up(&ports->port[i]);
        event_remove(ports->port[i].timer);
    }
    free(ports);
}

int qemu_ports_fd(const struct qemu_ports *ports, unsigned int number)
{
    return ports->port[number].listen_fd;
}

void qemu_ports_spawned(struct qemu_ports *ports)
{
    for (unsigned int i = 0; i < ports->count; i++) {
        if (ports->port[i].listen_fd >= 0)
            (void)close(ports->port[i].listen_fd);
        ports->port[i].listen_fd = -1;
    }
}

void qemu_ports_event(struct qemu_ports *ports, const char *event, json_t *data)
{
    const char *id = json_string_value(json_object_get(data, "id"));
    const size_t prefix = strlen(QEMU_PORT_DEVICE);

    if (strcmp(event, "VSERPORT_CHANGE") != 0 || id == NULL ||
        strncmp(id, QEMU_PORT_DEVICE, prefix) != 0)
        return;
    for (unsigned int i = 0; i < ports->count; i++) {
        if (strcmp(ports->port[i].name, id + prefix) != 0)
            continue;
        ports->port[i].is_guest_open = json_is_true(json_object_get(data, "open"));
        port_socket_ops.room(ports->port[i].socket);
    }
}

int qemu_ports_connect(struct qemu_ports *ports, const char *name, int fd, struct crosh_error *err)
{
    for (unsigned int i = 0; i < ports->count; i++)
        if (port_socket_is(ports->port[i].socket, name))
            return port_socket_adopt(ports->port[i].socket, fd, err);
    (void)close(fd);
    return crosh_error_set(err, -ENOENT, "the VM has no port %s", name);
}

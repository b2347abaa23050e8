/* SPDX-License-Identifier: MIT */
/*
 * Fuzzes the host's side of a guest whose vsock the kernel serves: the input is a sequence of what
 * the guest, clients and services of the host, and the runtime directory's files may do. All that
 * passes must come in order and from its beginning. (--wrap: AF_VSOCK sockets are unix sockets;
 * a connection to the guest is refused, answered, or kept waiting, as the input says.)
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <linux/vm_sockets.h>

#include "kvm/vsock-bridge.h"
#include "lib/base/unix-socket.h"

#define CID      7u
#define PORTS    4u /* the first is served in the launcher */
#define FDS_MAX  1024
#define ENDS_MAX 48u
#define OWN_PORT 0u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* An end of a stream in the hands of the guest, a client or a service. */
struct end {
    int fd;
    uint32_t sent, received;
    bool is_client;  /* an answer comes first */
    bool was_told;   /* it has come, up to its line feed */
    bool is_ignored; /* what it gets is no one stream's */
};

static struct {
    const uint8_t *data;
    size_t size;
    struct event_loop *loop;
    struct vsock_bridge *bridge;
    bool is_vsock[FDS_MAX];
    uint32_t port_of[FDS_MAX]; /* where a socket is bound */
    int listener[PORTS];       /* the AF_VSOCK one of a port; -1: none */
    int service[PORTS];        /* of "<path>_<port>"; -1: none */
    struct end end[ENDS_MAX];
    unsigned int end_count;
} world;

static char top[64], path[80];

static void require(bool condition)
{
    if (!condition)
        abort();
}

static uint32_t take(unsigned int bytes)
{
    uint32_t value = 0;

    while (bytes-- > 0 && world.size > 0) {
        value = value << 8 | *world.data++;
        world.size--;
    }
    return value;
}

static uint8_t pattern(uint32_t offset)
{
    return (uint8_t)(offset * 31 + (offset >> 8) * 7 + 1);
}

static struct end *add_end(int fd)
{
    struct end *end = &world.end[world.end_count];

    if (world.end_count == ENDS_MAX) {
        (void)close(fd);
        return NULL;
    }
    *end = (struct end){.fd = fd};
    world.end_count++;
    return end;
}

static void drop_end(unsigned int at)
{
    (void)close(world.end[at].fd);
    world.end[at] = world.end[--world.end_count];
}

/* ---- The kernel's AF_VSOCK ---- */

int __real_socket(int family, int type, int protocol);
int __real_bind(int fd, const struct sockaddr *address, socklen_t size);
int __real_connect(int fd, const struct sockaddr *address, socklen_t size);
int __real_accept4(int fd, struct sockaddr *address, socklen_t *size, int flags);
int __real_getsockname(int fd, struct sockaddr *address, socklen_t *size);
int __real_setsockopt(int fd, int level, int name, const void *value, socklen_t size);
/* The bridge soon has to keep what the other side does not take. */
static void make_narrow(int fd)
{
    const int least = 1;

    (void)__real_setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &least, sizeof(least));
}

int __wrap_socket(int family, int type, int protocol);
int __wrap_bind(int fd, const struct sockaddr *address, socklen_t size);
int __wrap_connect(int fd, const struct sockaddr *address, socklen_t size);
int __wrap_accept4(int fd, struct sockaddr *address, socklen_t *size, int flags);
int __wrap_getsockname(int fd, struct sockaddr *address, socklen_t *size);
int __wrap_setsockopt(int fd, int level, int name, const void *value, socklen_t size);

int __wrap_socket(int family, int type, int protocol)
{
    int fd = __real_socket(family == AF_VSOCK ? AF_UNIX : family, type, protocol);

    require(fd < FDS_MAX);
    if (fd >= 0) {
        world.is_vsock[fd] = family == AF_VSOCK;
        make_narrow(fd);
    }
    return fd;
}

int __wrap_bind(int fd, const struct sockaddr *address, socklen_t size)
{
    const struct sockaddr_un any = {.sun_family = AF_UNIX};
    struct sockaddr_vm vm;

    if (!world.is_vsock[fd])
        return __real_bind(fd, address, size);
    memcpy(&vm, address, sizeof(vm));
    require(size == sizeof(vm) && vm.svm_family == AF_VSOCK);
    world.port_of[fd] = vm.svm_port;
    if (vm.svm_port < PORTS)
        world.listener[vm.svm_port] = fd;
    /* A name that the kernel chooses. */
    return __real_bind(fd, (const struct sockaddr *)&any, sizeof(any.sun_family));
}

/* A connection to the guest: refused; made; or made with a full buffer, so not answered yet. */
int __wrap_connect(int fd, const struct sockaddr *address, socklen_t size)
{
    static const uint8_t much[4096];
    uint32_t choice;
    struct end *end;
    int pair[2];

    if (!world.is_vsock[fd])
        return __real_connect(fd, address, size);
    choice = take(1) % 4;
    if (choice == 0) {
        errno = ECONNREFUSED;
        return -1;
    }
    require(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) == 0);
    require(dup3(pair[0], fd, O_CLOEXEC) == fd);
    (void)close(pair[0]);
    make_narrow(fd);
    end = add_end(pair[1]);
    if (choice == 1 && end != NULL) {
        end->is_ignored = true;
        while (send(fd, much, sizeof(much), MSG_DONTWAIT | MSG_NOSIGNAL) > 0)
            ;
    }
    errno = EINPROGRESS;
    return -1;
}

int __wrap_accept4(int fd, struct sockaddr *address, socklen_t *size, int flags)
{
    struct sockaddr_vm vm = {.svm_family = AF_VSOCK, .svm_cid = CID, .svm_port = 1};
    int peer;

    peer = __real_accept4(fd, NULL, NULL, flags);
    if (peer < 0)
        return peer;
    world.is_vsock[peer] = world.is_vsock[fd];
    make_narrow(peer);
    if (!world.is_vsock[fd])
        return peer;
    if (take(1) % 8 == 7)
        vm.svm_cid = CID + 1; /* another guest of this host: to be turned away */
    require(*size == sizeof(vm));
    memcpy(address, &vm, sizeof(vm));
    return peer;
}

int __wrap_getsockname(int fd, struct sockaddr *address, socklen_t *size)
{
    struct sockaddr_vm vm = {.svm_family = AF_VSOCK, .svm_port = 1024};

    if (!world.is_vsock[fd])
        return __real_getsockname(fd, address, size);
    memcpy(address, &vm, *size < sizeof(vm) ? *size : sizeof(vm));
    return 0;
}

int __wrap_setsockopt(int fd, int level, int name, const void *value, socklen_t size)
{
    if (level == AF_VSOCK) {
        require(name == SO_VM_SOCKETS_CONNECT_TIMEOUT && size == sizeof(struct timeval));
        return 0;
    }
    return __real_setsockopt(fd, level, name, value, size);
}

/* ---- Who takes part ---- */

static void on_timer(void *opaque)
{
    event_loop_quit(opaque);
}

static bool on_accept(void *opaque, int fd)
{
    (void)opaque;
    if (take(1) % 4 == 3) {
        (void)close(fd);
        return false;
    }
    (void)add_end(fd);
    return true;
}

/* A client, and what it says first. */
static void dial(void)
{
    uint32_t choice = take(1);
    int fd = unix_connect_nonblock(path);
    char line[64];
    struct end *end;
    int length;

    if (fd < 0)
        return;
    end = add_end(fd);
    if (end == NULL)
        return;
    end->is_client = true;
    if (choice % 4 != 0) {
        length = snprintf(line, sizeof(line), "CONNECT %u\n", take(1));
    } else {
        length = (int)(take(1) % sizeof(line));
        for (int i = 0; i < length; i++) {
            line[i] = (char)take(1);
            if (line[i] == '\n')
                line[i] = ' ';
        }
        if ((choice & 4) != 0 && length > 0)
            line[length - 1] = '\n';
    }
    require(send(fd, line, (size_t)length, MSG_NOSIGNAL) == length);
}

/* The guest connects to a port of the host, if somebody listens there. */
static void connect_from_guest(void)
{
    uint32_t port = take(1) % PORTS;
    struct sockaddr_un address;
    socklen_t size = sizeof(address);
    int fd;

    if (world.listener[port] < 0 || fcntl(world.listener[port], F_GETFD) < 0 ||
        world.port_of[world.listener[port]] != port ||
        __real_getsockname(world.listener[port], (struct sockaddr *)&address, &size) < 0 ||
        size <= sizeof(address.sun_family))
        return;
    fd = __real_socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    world.is_vsock[fd] = false;
    if (__real_connect(fd, (struct sockaddr *)&address, size) == 0)
        (void)add_end(fd);
    else
        (void)close(fd);
}

/* A service of the host comes, goes, or takes one who waits; or a file's name is odd. */
static void act_as_service(void)
{
    static const char *const odd[] = {
        "_", "_x", "_4294967295", "_99999999999999999999", "_18446744073709551617", "_1x"};
    uint32_t choice = take(1), port = 1 + choice / 8 % (PORTS - 1);
    char name[128];
    int fd;

    (void)snprintf(name, sizeof(name), "%s_%u", path, port);
    if (choice % 8 == 0) {
        (void)snprintf(name, sizeof(name), "%s%s", path,
                       odd[choice / 8 % (sizeof(odd) / sizeof(odd[0]))]);
        fd = open(name, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
        (void)close(fd);
        (void)unlink(name);
    } else if (choice % 8 == 1) {
        (void)unlink(name);
        if (world.service[port] >= 0)
            (void)close(world.service[port]);
        world.service[port] = -1;
    } else if (choice % 8 < 5) {
        if (world.service[port] < 0) {
            world.service[port] = unix_listen(name, NULL);
            /* Busy soon: those who come wait. */
            if (choice % 8 == 4)
                (void)listen(world.service[port], 0);
        }
    } else if (world.service[port] >= 0) {
        fd = __real_accept4(world.service[port], NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0)
            (void)add_end(fd);
    }
}

static void read_some(struct end *end)
{
    static uint8_t buffer[70000];
    ssize_t n = read(end->fd, buffer, 1 + take(1) * 256);
    ssize_t at = 0;

    while (n > at && end->is_client && !end->was_told)
        end->was_told = buffer[at++] == '\n';
    for (; at < n && !end->is_ignored; at++)
        require(buffer[at] == pattern(end->received++));
}

static void write_some(struct end *end)
{
    static uint8_t buffer[70000];
    size_t size = take(1) * 256 + 1;
    ssize_t n;

    for (size_t i = 0; i < size; i++)
        buffer[i] = pattern(end->sent + (uint32_t)i);
    n = send(end->fd, buffer, size, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n > 0)
        end->sent += (uint32_t)n;
}

static void use_end(void)
{
    uint32_t choice = take(1);
    unsigned int at;

    if (world.end_count == 0)
        return;
    at = choice / 8 % world.end_count;
    if (choice % 8 < 3)
        write_some(&world.end[at]);
    else if (choice % 8 < 6)
        read_some(&world.end[at]);
    else if (choice % 8 == 6)
        (void)shutdown(world.end[at].fd, (int)(take(1) % 3));
    else
        drop_end(at);
}

/* ---- Runs ---- */

static void remove_all(void)
{
    (void)unlink(path);
    (void)rmdir(top);
}

static void set_up(void)
{
    (void)snprintf(top, sizeof(top), "/tmp/crosh-fuzz-bridge.XXXXXX");
    require(mkdtemp(top) != NULL);
    (void)snprintf(path, sizeof(path), "%s/s", top);
    require(atexit(remove_all) == 0);
}

static unsigned int count_open(void)
{
    unsigned int count = 0;

    for (int fd = 0; fd < FDS_MAX; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

static void tear_down(struct event_source *timer)
{
    char name[128];

    vsock_bridge_free(world.bridge);
    event_remove(timer);
    event_loop_free(world.loop);
    while (world.end_count > 0)
        drop_end(0);
    for (uint32_t port = 0; port < PORTS; port++) {
        if (world.service[port] < 0)
            continue;
        (void)close(world.service[port]);
        (void)snprintf(name, sizeof(name), "%s_%u", path, port);
        (void)unlink(name);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct vsock_config config = {.guest_cid = CID, .max_connections = 6};
    struct event_source *timer;
    uint32_t own = OWN_PORT;
    unsigned int open_before;

    if (top[0] == '\0')
        set_up();
    if (size > 4096)
        return 0;
    memset(&world, 0, sizeof(world));
    world.data = data;
    world.size = size;
    for (uint32_t port = 0; port < PORTS; port++)
        world.listener[port] = world.service[port] = -1;
    open_before = count_open();
    config.socket_path = path;
    config.deadline_ms = take(1) % 8 == 7 ? 1 : 0;
    world.loop = event_loop_new(NULL);
    timer = event_timer_add(world.loop, on_timer, world.loop);
    world.bridge = vsock_bridge_new(world.loop, &config, NULL);
    require(world.bridge != NULL);
    require(vsock_bridge_listen(world.bridge, &own, on_accept, NULL, NULL) == 0 && own == OWN_PORT);
    vsock_bridge_set_driver(world.bridge, true);
    while (world.size > 0) {
        switch (take(1) % 8) {
        case 0:
            dial();
            break;
        case 1:
            connect_from_guest();
            break;
        case 2:
            act_as_service();
            break;
        case 3:
            vsock_bridge_set_driver(world.bridge, take(1) % 4 != 0);
            break;
        case 4:
        case 5:
            use_end();
            break;
        default:
            event_timer_set(timer, 0);
            (void)event_loop_run(world.loop, NULL);
            break;
        }
    }
    tear_down(timer);
    require(count_open() == open_before); /* nothing was left */
    return 0;
}

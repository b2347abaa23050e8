/* SPDX-License-Identifier: MIT */
/*
 * Fuzzes the agent's stream service: a host that opens streams, says anything on them and
 * leaves, and programs of the guest that connect and talk. The input is a list of steps,
 * two bytes and perhaps data each. Places are not those of this machine: connecting gives
 * one end of a socket pair, and listening an unnamed socket (--wrap of places.c's functions); there
 * is no container.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "guest/agent/inside.h"
#include "guest/agent/stream.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int __wrap_place_lookup(const char *host, struct crosh_error *err);
int __wrap_place_connect(const struct place *place, size_t index);
int __wrap_place_listen(const Streams__Place *where, uid_t uid, gid_t gid, Streams__Place **at,
                        struct crosh_error *err);
int __wrap_ports_list(struct listener_port ports[LISTENERS_MAX]);
int __wrap_ports_list_in(int namespace_fd, struct listener_port ports[LISTENERS_MAX]);

#define ENDS_MAX 32

static struct {
    int hosts[ENDS_MAX];  /* the host's ends of streams; -1: none */
    int guests[ENDS_MAX]; /* what programs of the guest have connected; -1: none */
    int listener;         /* the last place that somebody listens at, or -1 */
    uint8_t lookup[64];   /* what a lookup says */
    size_t lookup_size;
    uint8_t port;
} world;

static void require(int condition)
{
    if (!condition)
        abort();
}

static void keep(int *ends, int fd)
{
    for (int i = 0; i < ENDS_MAX; i++) {
        if (ends[i] < 0) {
            ends[i] = fd;
            return;
        }
    }
    (void)close(fd);
}

static int make_pair(int *ends)
{
    int pair[2];

    require(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) == 0);
    keep(ends, pair[1]);
    return pair[0];
}

/* An unnamed place of the abstract kind. */
static int listen_somewhere(void)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    require(fd >= 0 && bind(fd, (struct sockaddr *)&un, sizeof(un.sun_family)) == 0 &&
            listen(fd, 8) == 0);
    return fd;
}

static void connect_to(int listener, int *ends)
{
    struct sockaddr_un un;
    socklen_t size = sizeof(un);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    require(fd >= 0 && getsockname(listener, (struct sockaddr *)&un, &size) == 0);
    if (connect(fd, (struct sockaddr *)&un, size) == 0)
        keep(ends, fd);
    else
        (void)close(fd);
}

int __wrap_place_lookup(const char *host, struct crosh_error *err)
{
    int pair[2];

    (void)host;
    (void)err;
    require(pipe(pair) == 0);
    require(write(pair[1], world.lookup, world.lookup_size) == (ssize_t)world.lookup_size);
    (void)close(pair[1]);
    return pair[0];
}

int __wrap_place_connect(const struct place *place, size_t index)
{
    require(index < place->count);
    return place->addresses[index].any.sa_family == AF_INET6 ? -ENETUNREACH
                                                             : make_pair(world.guests);
}

int __wrap_place_listen(const Streams__Place *where, uid_t uid, gid_t gid, Streams__Place **at,
                        struct crosh_error *err)
{
    (void)uid;
    (void)gid;
    if (where == NULL)
        return crosh_error_set(err, -EINVAL, "no such kind of place");
    *at = malloc(sizeof(**at));
    require(*at != NULL);
    streams__place__init(*at);
    if (world.listener >= 0)
        (void)close(world.listener);
    world.listener = listen_somewhere();
    return fcntl(world.listener, F_DUPFD_CLOEXEC, 0);
}

int __wrap_ports_list(struct listener_port ports[LISTENERS_MAX])
{
    ports[0].port = ++world.port;
    return 1;
}

int __wrap_ports_list_in(int namespace_fd, struct listener_port ports[LISTENERS_MAX])
{
    require(fcntl(namespace_fd, F_GETFD) >= 0);
    return __wrap_ports_list(ports);
}

bool inside_is_wanted(const Streams__Request *request)
{
    return *request->target != '\0';
}

/* The process in the container, whose first byte says how it went. */
int inside_begin(const Streams__Request *request, struct crosh_error *err)
{
    (void)request;
    (void)err;
    return make_pair(world.guests);
}

int inside_take(int fd, Streams__Place **at, struct crosh_error *err)
{
    uint8_t word;

    *at = NULL;
    if (recv(fd, &word, 1, MSG_DONTWAIT) != 1 || word % 3 == 0)
        return crosh_error_set(err, -ENOENT, "no such container");
    if (word % 3 == 1)
        return make_pair(world.guests);
    return __wrap_place_listen(&(Streams__Place)STREAMS__PLACE__INIT, 0, 0, at, err);
}

/* Data with a length before it, as a frame has it, or as it is. */
static void say(int fd, const uint8_t *data, size_t size, int is_framed)
{
    const uint8_t header[4] = {(uint8_t)size};

    if (fd < 0)
        return;
    if (is_framed)
        (void)send(fd, header, sizeof(header), MSG_NOSIGNAL | MSG_DONTWAIT);
    (void)send(fd, data, size, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void hang_up(int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
    *fd = -1;
}

static void drain(int fd)
{
    uint8_t scrap[4096];

    while (fd >= 0 && recv(fd, scrap, sizeof(scrap), MSG_DONTWAIT) > 0)
        ;
}

/* One step: its kind, which end, and data where the kind has some. The bytes that it took. */
static size_t step(struct stream_service *service, const uint8_t *data, size_t size)
{
    uint8_t kind = data[0] % 10;
    int *host = &world.hosts[data[1] % ENDS_MAX];
    int *guest = &world.guests[data[1] % ENDS_MAX];
    size_t length = size > 2 ? data[2] : 0;
    const uint8_t *text = data + 3;

    if (kind < 4 && size < 3)
        return size;
    if (kind < 4 && length > size - 3)
        length = size - 3;
    switch (kind) {
    case 0:
    case 1:
        say(*host, text, length, kind == 0);
        return 3 + length;
    case 2:
        say(*guest, text, length, 0);
        return 3 + length;
    case 3:
        world.lookup_size = length < sizeof(world.lookup) ? length : sizeof(world.lookup);
        memcpy(world.lookup, text, world.lookup_size);
        return 3 + length;
    case 4:
        connect_to(service->listener, world.hosts);
        break;
    case 5:
        hang_up(host);
        break;
    case 6:
        hang_up(guest);
        break;
    case 7:
        if (world.listener >= 0)
            connect_to(world.listener, world.guests);
        break;
    case 8:
        drain(*host);
        drain(*guest);
        break;
    default:
        if (*host >= 0)
            (void)shutdown(*host, SHUT_WR);
        break;
    }
    return 2;
}

static void check(const struct stream_service *service)
{
    require(service->count <= STREAMS_MAX && service->pending_count <= PENDING_MAX);
    for (size_t i = 0; i < service->pending_count; i++) {
        int is_owned = 0;

        for (size_t j = 0; j < service->count; j++)
            is_owned = is_owned || service->streams[j] == service->pending[i].owner;
        require(is_owned);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct stream_service *service = stream_service_new(listen_somewhere());

    require(service != NULL);
    memset(world.hosts, 0xff, sizeof(world.hosts));
    memset(world.guests, 0xff, sizeof(world.guests));
    world.listener = -1;
    world.lookup_size = 0;
    for (int steps = 0; size >= 2 && steps < 200; steps++) {
        size_t taken = step(service, data, size);

        data += taken;
        size -= taken;
        require(stream_service_turn(service, 0));
        check(service);
    }
    for (int turns = 0; turns < 4; turns++)
        require(stream_service_turn(service, 0));
    stream_service_free(service);
    for (int i = 0; i < ENDS_MAX; i++) {
        hang_up(&world.hosts[i]);
        hang_up(&world.guests[i]);
    }
    hang_up(&world.listener);
    return 0;
}

/* SPDX-License-Identifier: MIT */
/*
 * Implements published ports by relaying: in both places, and also for who connects to the
 * host's loopback, which address translation in the kernel does not serve without a change to
 * the host's settings.
 */
#include "net/publish.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/base/deadline.h"
#include "net/lookup.h"
#include "net/relay.h"

#define STREAMS_MAX  512u
#define PEERS_MAX    256u
#define PEER_IDLE_MS 60000
#define DATAGRAM_MAX 65535u
/* Taken in one turn of the loop. */
#define DATAGRAMS_MAX 64u

struct publish;

/* One who connected. */
struct stream {
    struct publish *publish;
    struct stream *next;
    int client;            /* until the relay has it */
    struct lookup *lookup; /* of the container's address */
    struct relay *relay;
};

/* One who sent datagrams. */
struct peer {
    struct sockaddr_storage address;
    socklen_t size;
    int fd;
    int64_t used_at_ms;
    struct event_source *source;
    struct publish *publish;
};

struct publish {
    struct event_loop *loop;
    char vm[64];
    struct plan_prefix guest, server;
    Net__Published what;
    char bind[INET6_ADDRSTRLEN], container[64];
    int fd;
    struct event_source *source;
    struct stream *streams;
    unsigned int stream_count;
    struct peer *peers[PEERS_MAX];
    unsigned int peer_count;
    struct plan_prefix target; /* of datagrams to a container: as it was last */
    bool has_target;
    struct lookup *lookup;
    struct event_source *timer; /* for idle peers */
};

/* ---- Streams ---- */

static void stream_end(struct stream *stream)
{
    struct publish *publish = stream->publish;
    struct stream **at = &publish->streams;

    while (*at != stream)
        at = &(*at)->next;
    *at = stream->next;
    publish->stream_count--;
    lookup_cancel(stream->lookup);
    relay_stop(stream->relay);
    if (stream->client >= 0)
        (void)close(stream->client);
    free(stream);
    /* It was full, and has room now. */
    if (publish->source != NULL)
        event_modify(publish->source, EPOLLIN);
}

static void on_relay_end(void *opaque)
{
    struct stream *stream = opaque;

    stream->relay = NULL;
    stream_end(stream);
}

/* A socket on its way to the target, in the VMs' network; negative errno. */
static int dial(const struct publish *publish, const struct plan_prefix *target)
{
    int type = publish->what.udp ? SOCK_DGRAM : SOCK_STREAM;
    cleanup_close int fd = socket(target->family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct sockaddr_storage address;
    socklen_t size = plan_to_sockaddr(target, publish->what.guest_port, &address);

    if (fd < 0 ||
        (connect(fd, (const struct sockaddr *)&address, size) < 0 && errno != EINPROGRESS))
        return -errno;
    return move_fd(fd);
}

static void stream_dial(struct stream *stream, const struct plan_prefix *target)
{
    int server = dial(stream->publish, target);

    if (server >= 0)
        stream->relay = relay_start(stream->publish->loop, move_fd(stream->client), server, NULL, 0,
                                    on_relay_end, stream);
    if (stream->relay == NULL)
        stream_end(stream);
}

static void on_stream_target(void *opaque, const struct lookup_answer *answer)
{
    struct stream *stream = opaque;

    stream->lookup = NULL;
    if (answer->count == 0)
        stream_end(stream);
    else
        stream_dial(stream, &answer->addresses[0]);
}

static void on_listener(void *opaque, uint32_t events)
{
    struct publish *publish = opaque;
    struct stream *stream;
    int fd;

    (void)events;
    fd = accept4(publish->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0)
        return;
    stream = calloc(1, sizeof(*stream));
    if (stream == NULL) {
        (void)close(fd);
        return;
    }
    *stream = (struct stream){.publish = publish, .next = publish->streams, .client = fd};
    publish->streams = stream;
    if (++publish->stream_count == STREAMS_MAX)
        event_modify(publish->source, 0);
    if (publish->container[0] == '\0')
        stream_dial(stream, &publish->guest);
    else if ((stream->lookup = lookup_start(publish->loop, publish->vm, publish->container,
                                            &publish->server, false, on_stream_target, stream)) ==
             NULL)
        stream_end(stream);
}

/* ---- Datagrams ---- */

static void peer_end(struct publish *publish, unsigned int index)
{
    struct peer *peer = publish->peers[index];

    event_remove(peer->source);
    (void)close(peer->fd);
    free(peer);
    publish->peers[index] = publish->peers[--publish->peer_count];
}

static void on_idle(void *opaque)
{
    struct publish *publish = opaque;

    for (unsigned int i = publish->peer_count; i-- > 0;)
        if (deadline_now() - publish->peers[i]->used_at_ms >= PEER_IDLE_MS)
            peer_end(publish, i);
    if (publish->peer_count > 0)
        event_timer_set(publish->timer, PEER_IDLE_MS);
}

/* What comes back goes to who sent to us. */
static void on_reply(void *opaque, uint32_t events)
{
    struct peer *peer = opaque;
    static uint8_t data[DATAGRAM_MAX];
    ssize_t n;

    (void)events;
    for (unsigned int i = 0; i < DATAGRAMS_MAX; i++) {
        n = recv(peer->fd, data, sizeof(data), 0);
        if (n < 0)
            return;
        peer->used_at_ms = deadline_now();
        (void)sendto(peer->publish->fd, data, (size_t)n, 0, (const struct sockaddr *)&peer->address,
                     peer->size);
    }
}

static struct peer *find_peer(struct publish *publish, const struct sockaddr_storage *address,
                              socklen_t size)
{
    struct peer *peer;
    unsigned int oldest = 0;

    for (unsigned int i = 0; i < publish->peer_count; i++) {
        peer = publish->peers[i];
        if (peer->size == size && memcmp(&peer->address, address, size) == 0)
            return peer;
        if (peer->used_at_ms < publish->peers[oldest]->used_at_ms)
            oldest = i;
    }
    if (publish->peer_count == PEERS_MAX)
        peer_end(publish, oldest);
    peer = calloc(1, sizeof(*peer));
    if (peer == NULL)
        return NULL;
    *peer = (struct peer){.address = *address, .size = size, .publish = publish};
    peer->fd = dial(publish, publish->has_target ? &publish->target : &publish->guest);
    if (peer->fd >= 0)
        peer->source = event_add(publish->loop, peer->fd, EPOLLIN, on_reply, peer);
    if (peer->source == NULL) {
        if (peer->fd >= 0)
            (void)close(peer->fd);
        free(peer);
        return NULL;
    }
    if (publish->peer_count == 0)
        event_timer_set(publish->timer, PEER_IDLE_MS);
    publish->peers[publish->peer_count++] = peer;
    return peer;
}

/* Leads on those that wait; whom the container's address is not known for loses them. */
static void take_datagrams(struct publish *publish)
{
    static uint8_t data[DATAGRAM_MAX];

    for (unsigned int i = 0; i < DATAGRAMS_MAX; i++) {
        struct sockaddr_storage from = {0};
        socklen_t size = sizeof(from);
        ssize_t n = recvfrom(publish->fd, data, sizeof(data), 0, (struct sockaddr *)&from, &size);
        struct peer *peer;

        if (n < 0)
            return;
        if (publish->container[0] != '\0' && !publish->has_target)
            continue;
        peer = find_peer(publish, &from, size);
        if (peer != NULL) {
            peer->used_at_ms = deadline_now();
            (void)send(peer->fd, data, (size_t)n, 0);
        }
    }
    if (publish->peer_count == 0)
        publish->has_target = false;
}

static void on_datagram_target(void *opaque, const struct lookup_answer *answer)
{
    struct publish *publish = opaque;

    publish->lookup = NULL;
    publish->has_target = answer->count > 0;
    if (answer->count > 0)
        publish->target = answer->addresses[0];
    take_datagrams(publish);
    event_modify(publish->source, EPOLLIN);
}

static void on_datagrams(void *opaque, uint32_t events)
{
    struct publish *publish = opaque;

    (void)events;
    /* The first wait in the socket until the container's address is known. It may have got another
       one by the time that nobody sent. */
    if (publish->container[0] != '\0' && publish->peer_count == 0 && publish->lookup == NULL &&
        !publish->has_target) {
        publish->lookup = lookup_start(publish->loop, publish->vm, publish->container,
                                       &publish->server, false, on_datagram_target, publish);
        if (publish->lookup != NULL) {
            event_modify(publish->source, 0);
            return;
        }
    }
    take_datagrams(publish);
}

/* ---- Both ---- */

static int open_port(struct publish *publish, struct outside *outside, struct crosh_error *err)
{
    const char *text = publish->bind[0] != '\0' ? publish->bind : "127.0.0.1";
    struct outside_socket spec = {.type = publish->what.udp ? SOCK_DGRAM : SOCK_STREAM,
                                  .is_listening = true};
    struct plan_prefix bind = {.family = AF_INET};

    if (inet_pton(AF_INET, text, &bind.ipv4) != 1) {
        bind.family = AF_INET6;
        if (inet_pton(AF_INET6, text, &bind.ipv6) != 1)
            return crosh_error_set(err, CROSH_EUSAGE, "'%s' is no address to listen at", text);
    }
    spec.family = bind.family;
    spec.bind_size = plan_to_sockaddr(&bind, publish->what.host_port, &spec.bind);
    publish->fd = outside_socket(outside, &spec, err);
    if (publish->fd < 0) {
        (void)crosh_error_wrap(err, "cannot listen on port %u of %s", publish->what.host_port,
                               text);
        if (err != NULL && err->code == -EACCES)
            crosh_error_hint(err, "ports below 1024 are root's: choose a higher one");
        return publish->fd;
    }
    return 0;
}

struct publish *publish_new(struct event_loop *loop, struct outside *outside, const char *vm,
                            const struct plan_place *place, const Net__Published *what,
                            struct crosh_error *err)
{
    cleanup_free struct publish *publish = calloc(1, sizeof(*publish));

    if (publish == NULL) {
        crosh_error_set(err, -ENOMEM, "out of memory");
        return NULL;
    }
    publish->loop = loop;
    publish->fd = -1;
    publish->guest = place->guest;
    publish->server = place->containers;
    if (what->host_port == 0 || what->host_port > UINT16_MAX || what->guest_port == 0 ||
        what->guest_port > UINT16_MAX ||
        snprintf(publish->bind, sizeof(publish->bind), "%s", what->bind) >=
            (int)sizeof(publish->bind) ||
        snprintf(publish->container, sizeof(publish->container), "%s", what->container) >=
            (int)sizeof(publish->container)) {
        crosh_error_set(err, CROSH_EUSAGE, "such a port cannot be published");
        return NULL;
    }
    (void)snprintf(publish->vm, sizeof(publish->vm), "%s", vm);
    net__published__init(&publish->what);
    publish->what.host_port = what->host_port;
    publish->what.guest_port = what->guest_port;
    publish->what.udp = what->udp;
    publish->what.bind = publish->bind;
    publish->what.container = publish->container;
    if (open_port(publish, outside, err) < 0)
        return NULL;
    publish->source =
        event_add(loop, publish->fd, EPOLLIN, what->udp ? on_datagrams : on_listener, publish);
    publish->timer = event_timer_add(loop, on_idle, publish);
    if (publish->source == NULL || publish->timer == NULL) {
        crosh_error_set(err, -ENOMEM, "out of memory");
        publish_free(move_ptr(publish));
        return NULL;
    }
    return move_ptr(publish);
}

void publish_free(struct publish *publish)
{
    if (publish == NULL)
        return;
    event_remove(move_ptr(publish->source));
    while (publish->streams != NULL)
        stream_end(publish->streams);
    while (publish->peer_count > 0)
        peer_end(publish, 0);
    lookup_cancel(publish->lookup);
    event_remove(publish->timer);
    if (publish->fd >= 0)
        (void)close(publish->fd);
    free(publish);
}

bool publish_matches(const struct publish *publish, const Net__Published *what)
{
    const char *bind = what->bind[0] != '\0' ? what->bind : "127.0.0.1";
    const char *ours = publish->bind[0] != '\0' ? publish->bind : "127.0.0.1";

    return publish->what.host_port == what->host_port && !publish->what.udp == !what->udp &&
           strcmp(bind, ours) == 0;
}

const Net__Published *publish_what(const struct publish *publish)
{
    return &publish->what;
}

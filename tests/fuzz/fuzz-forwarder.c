/* SPDX-License-Identifier: MIT */
/*
 * Fuzzes the host's end of forwardings against a hostile guest: the input is cut into what
 * each stream to the guest brings, one after the other, and what clients on the host say.
 * Nothing is connected but what the rules name. (--wrap: streams to the guest are socket
 * pairs, and poll(2) never waits: when nothing happens any more, it is over.)
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/base/unix-socket.h"
#include "modules/vsh/forwarder.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int __wrap_stream_open(const struct stream_peer *peer, Streams__Request *request,
                       struct crosh_error *err);
int __wrap_poll(struct pollfd *polls, nfds_t count, int timeout);
int __real_poll(struct pollfd *polls, nfds_t count, int timeout);

#define STREAMS_KEPT 64
#define TURNS_MAX    200

static struct {
    const uint8_t *data;
    size_t size;
    int streams[STREAMS_KEPT];
    size_t stream_count;
    int turns;
} world;

static char top[64];
static char here[96];  /* where a local rule listens */
static char there[96]; /* where a remote rule leads to */

static void require(int condition)
{
    if (!condition)
        abort();
}

/* The next piece of the input: a length of two bytes, then so much. */
static size_t next_piece(const uint8_t **piece)
{
    size_t length;

    *piece = world.data;
    if (world.size < 2)
        return 0;
    length = (size_t)world.data[0] << 8 | world.data[1];
    if (length > world.size - 2)
        length = world.size - 2;
    *piece = world.data + 2;
    world.data += 2 + length;
    world.size -= 2 + length;
    return length;
}

int __wrap_stream_open(const struct stream_peer *peer, Streams__Request *request,
                       struct crosh_error *err)
{
    const uint8_t *piece;
    size_t length = next_piece(&piece);
    int pair[2];

    (void)peer;
    require(request->op_case != STREAMS__REQUEST__OP__NOT_SET);
    if (world.stream_count == STREAMS_KEPT)
        return crosh_error_set(err, -EMFILE, "no more streams");
    require(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) == 0);
    require(send(pair[1], piece, length, MSG_NOSIGNAL) == (ssize_t)length);
    /* Most guests stay; some hang up. */
    if (length % 7 == 0)
        (void)shutdown(pair[1], SHUT_WR);
    world.streams[world.stream_count++] = pair[1];
    return pair[0];
}

int __wrap_poll(struct pollfd *polls, nfds_t count, int timeout)
{
    int n = __real_poll(polls, count, 0);

    (void)timeout;
    /* The loop's first entry is the one that ends it; others wait for one descriptor. */
    if (count > 1 && (n <= 0 || ++world.turns > TURNS_MAX)) {
        polls[0].revents = POLLIN;
        return 1;
    }
    return n;
}

static void on_ports(void *data, struct forwarder *forwarder, const Streams__Ports *ports)
{
    int *rule = data;

    (void)ports;
    /* As automatic forwarding does: rules come and go meanwhile. */
    if (*rule >= 0)
        forwarder_remove(forwarder, *rule);
    *rule = -1;
}

static void on_problem(void *data, const char *message)
{
    (void)data;
    for (const char *p = message; *p != '\0'; p++)
        require((unsigned char)*p >= ' ' && *p != 0x7f);
}

static void remove_all(void)
{
    (void)unlink(here);
    (void)unlink(there);
    (void)rmdir(top);
}

static void set_up(void)
{
    (void)snprintf(top, sizeof(top), "/tmp/crosh-fuzz-forwarder.XXXXXX");
    require(mkdtemp(top) != NULL);
    (void)snprintf(here, sizeof(here), "%s/here", top);
    (void)snprintf(there, sizeof(there), "%s/there", top);
    require(atexit(remove_all) == 0);
}

static int connect_here(void)
{
    const uint8_t *piece;
    size_t length = next_piece(&piece);
    int fd = unix_connect_nonblock(here);

    require(fd >= 0);
    (void)send(fd, piece, length, MSG_NOSIGNAL | MSG_DONTWAIT);
    return fd;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct stream_peer peer = {.vm = "fuzzed"};
    struct forward_rule rule = {.from = {.is_unix = true}, .to = {.port = 80}};
    int local = -1;
    const struct forwarder_watch watch = {.ports = on_ports, .problem = on_problem, .data = &local};
    struct forwarder *forwarder;
    struct crosh_error err = {0};
    int listener, clients[2], r;

    if (top[0] == '\0')
        set_up();
    if (size < 1 || size > 32768)
        return 0;
    memset(&world, 0, sizeof(world));
    world.data = data + 1;
    world.size = size - 1;
    forwarder = forwarder_new(&peer, &watch);
    listener = unix_listen(there, &err);
    require(forwarder != NULL && listener >= 0);
    (void)snprintf(rule.from.path, sizeof(rule.from.path), "%s", here);
    local =
        forwarder_add(forwarder, data[0] & 1 ? FORWARDER_DYNAMIC : FORWARDER_LOCAL, &rule, &err);
    require(local >= 0);
    clients[0] = connect_here();
    clients[1] = connect_here();
    rule = (struct forward_rule){.from = {.port = 1}, .to = {.is_unix = true}};
    (void)snprintf(rule.to.path, sizeof(rule.to.path), "%s", there);
    (void)forwarder_add(forwarder, FORWARDER_REMOTE, &rule, &err);
    err = (struct crosh_error){0};
    r = forwarder_run(forwarder, -1, &err);
    require(r == 0 || err.message[0] != '\0');
    forwarder_free(forwarder);
    (void)close(listener);
    (void)unlink(there);
    (void)close(clients[0]);
    (void)close(clients[1]);
    while (world.stream_count > 0)
        (void)close(world.streams[--world.stream_count]);
    return 0;
}

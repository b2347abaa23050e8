/* SPDX-License-Identifier: MIT */
/* Implements relays by lib/relay's pairs. */
#include "net/relay.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/relay/pair.h"

struct relay {
    struct relay_pair pair; /* sides: client, server */
    bool is_connected;
    struct event_source *sources[2];
    void (*ended)(void *opaque);
    void *opaque;
};

void relay_stop(struct relay *relay)
{
    if (relay == NULL)
        return;
    event_remove(relay->sources[0]);
    event_remove(relay->sources[1]);
    relay_pair_fini(&relay->pair);
    free(relay);
}

static void end(struct relay *relay)
{
    void (*ended)(void *opaque) = relay->ended;
    void *opaque = relay->opaque;

    relay_stop(relay);
    ended(opaque);
}

/* Watches for what the pair can do next. */
static void watch(struct relay *relay)
{
    struct pollfd polls[4];

    relay_pair_prepare(&relay->pair, polls);
    for (int i = 0; i < 2; i++)
        event_modify(relay->sources[i], (polls[2 * i].fd >= 0 ? EPOLLIN : 0u) |
                                            (polls[2 * i + 1].fd >= 0 ? EPOLLOUT : 0u));
}

static void on_side(struct relay *relay, int side, uint32_t events)
{
    struct pollfd polls[4];

    relay_pair_prepare(&relay->pair, polls);
    for (int i = 0; i < 4; i++) {
        bool is_in = i % 2 == 0;

        if (i / 2 == side && polls[i].fd >= 0 &&
            (events & ((is_in ? EPOLLIN : EPOLLOUT) | EPOLLERR | EPOLLHUP)) != 0)
            polls[i].revents = is_in ? POLLIN : POLLOUT;
    }
    if (relay_pair_handle(&relay->pair, polls))
        end(relay);
    else
        watch(relay);
}

static void on_client(void *opaque, uint32_t events)
{
    on_side(opaque, 0, events);
}

static void on_server(void *opaque, uint32_t events)
{
    struct relay *relay = opaque;
    int error = 0;
    socklen_t size = sizeof(error);

    if (relay->is_connected) {
        on_side(relay, 1, events);
        return;
    }
    if (getsockopt(relay->pair.sides[1].out, SOL_SOCKET, SO_ERROR, &error, &size) < 0 ||
        error != 0) {
        end(relay);
        return;
    }
    relay->is_connected = true;
    watch(relay);
}

struct relay *relay_start(struct event_loop *loop, int client, int server, const void *first,
                          size_t size, void (*ended)(void *opaque), void *opaque)
{
    struct relay *relay = calloc(1, sizeof(*relay));

    if (relay == NULL) {
        (void)close(client);
        (void)close(server);
        return NULL;
    }
    relay->ended = ended;
    relay->opaque = opaque;
    relay_pair_init(&relay->pair, client, client, server, server);
    relay->sources[0] = event_add(loop, client, 0, on_client, relay);
    relay->sources[1] = event_add(loop, server, EPOLLOUT, on_server, relay);
    if (relay->sources[0] == NULL || relay->sources[1] == NULL ||
        (size > 0 && byte_queue_add(&relay->pair.sides[1].queue, first, size) < 0)) {
        relay_stop(relay);
        return NULL;
    }
    return relay;
}

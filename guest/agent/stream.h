/* SPDX-License-Identifier: MIT */
/* What the stream service's loop (streams.c) and the life of one stream (stream.c) share. */
#ifndef AGENT_STREAM_H
#define AGENT_STREAM_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "guest/agent/places.h"
#include "guest/agent/ports.h"
#include "guest/agent/streams.h"
#include "lib/relay/pair.h"
#include "lib/wire/frame-queue.h"
#include "lib/wire/frame.h"

/* How many who have connected wait for the host at once. */
#define PENDING_MAX 128u

enum stream_kind {
    STREAM_REQUEST, /* what it is to be has not come yet */
    STREAM_INSIDE,  /* a process of ours is in a container, and will hand a socket over */
    STREAM_LOOKUP,  /* a host's name is looked up */
    STREAM_CONNECT,
    STREAM_RELAY,
    STREAM_LISTEN,
    STREAM_WATCH,
    STREAM_ENDING, /* refused; the host is given time to read why */
};

struct stream {
    enum stream_kind kind;
    int fd; /* the host's end */
    int64_t deadline;
    struct frame_reader reader;
    struct byte_queue queue; /* towards the host */
    /* INSIDE, LOOKUP, CONNECT, LISTEN: a pipe or socket of the guest. WATCH: a container's network.
     */
    int far;
    bool is_watch;          /* INSIDE */
    unsigned int port;      /* LOOKUP */
    struct byte_queue text; /* LOOKUP: what has come */
    struct place place;     /* CONNECT */
    size_t attempt;
    char *path;                                /* LISTEN: to be removed at its end */
    struct listener_port ports[LISTENERS_MAX]; /* WATCH: what was told last */
    int port_count;
    struct relay_pair pair;
    bool is_over;
};

/* One who has connected to a listening socket. */
struct pending {
    uint64_t id;
    int fd;
    const struct stream *owner;
    int64_t deadline;
};

struct stream_service {
    int listener; /* -1: another service takes what is new */
    int signals;
    struct pollfd *polls; /* room for all */
    struct stream *streams[STREAMS_MAX];
    size_t count;
    size_t enough; /* with so many, others wait: at most STREAMS_MAX */
    struct pending pending[PENDING_MAX];
    size_t pending_count;
    uint64_t last_id;
    int64_t accept_after; /* no descriptors were left: nobody is accepted before that */
    bool is_short;        /* so nobody is accepted now */
    bool is_ending;
    bool is_retiring; /* another service is to take its place */
};

/* For streams.c's loop: without signals. Owns listener. NULL: out of memory, and it is closed. */
struct stream_service *stream_service_new(int listener);
void stream_service_free(struct stream_service *service);
/* Waits at most timeout_ms (-1: for ever) and does what is due. false: nothing is left to do. */
bool stream_service_turn(struct stream_service *service, int timeout_ms);

/* Whoever has connected to the listener, non-blocking; -1: nobody, or there is no room now. */
int stream_service_accept(struct stream_service *service, int listener);

/* One of the host's, from its connecting on. NULL: out of memory, and fd is closed. */
struct stream *stream_new(int fd);
/* Closes all of it, with those who have connected by it and wait. */
void stream_free(struct stream_service *service, struct stream *stream);

/* How many entries of polls a stream takes; the first is the host's but for a relay. */
size_t stream_prepare(const struct stream_service *service, const struct stream *stream,
                      struct pollfd polls[4]);
/* After poll(2), with the entries that it took. */
void stream_handle(struct stream_service *service, struct stream *stream,
                   const struct pollfd *polls);
/* Its deadline has come. */
void stream_expire(struct stream *stream);

/* Forgets one who waits; is_closed: and hangs up on them. */
void stream_drop_pending(struct stream_service *service, size_t index, bool is_closed);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * The host's end of forwardings. All is polled in one loop. A local rule is a listening
 * socket of the host's: who connects there gets a stream of its own to the guest. A remote
 * rule is a standing stream by which the guest tells of who has connected there, whom
 * another stream then accepts: so the guest reaches what the rule names, and nothing else.
 */
#include "modules/vsh/forwarder.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/base/deadline.h"
#include "lib/relay/pair.h"
#include "modules/vsh/socks.h"
#include "lib/base/sanitize.h"

#define ANSWER_TIMEOUT_MS 75000
#define SOCKS_TIMEOUT_MS  30000
/* Frames of events: the guest's list of ports is the largest. */
#define EVENT_MAX (64u * 1024u)

struct rule {
    bool is_used;
    enum forwarder_kind kind;
    struct forward_rule rule;
    int fd; /* what listens here, or the standing stream */
    struct frame_reader reader;
};

enum state { STATE_SOCKS, STATE_ANSWER, STATE_RELAY };

struct conn {
    enum state state;
    bool is_over;
    int near; /* on the host */
    int far;  /* the stream to the guest */
    int64_t deadline;
    bool is_socks;
    struct socks socks;
    struct byte_queue said; /* by a SOCKS client */
    struct frame_reader reader;
    struct relay_pair pair;
};

struct forwarder {
    const struct stream_peer *peer;
    const struct forwarder_watch *watch;
    struct rule rules[FORWARDER_RULES_MAX];
    struct conn *conns[FORWARDER_STREAMS_MAX];
    size_t count;
    int standing; /* the stream that watches the guest's ports */
    struct frame_reader reader;
    bool is_lost;
    struct pollfd polls[2 + FORWARDER_RULES_MAX + 4 * FORWARDER_STREAMS_MAX];
};

static void conn_free(struct conn *conn)
{
    if (conn->state == STATE_RELAY)
        relay_pair_fini(&conn->pair);
    if (conn->near >= 0)
        (void)close(conn->near);
    if (conn->far >= 0)
        (void)close(conn->far);
    byte_queue_fini(&conn->said);
    frame_reader_fini(&conn->reader);
    free(conn);
}

struct forwarder *forwarder_new(const struct stream_peer *peer, const struct forwarder_watch *watch)
{
    struct forwarder *forwarder = calloc(1, sizeof(*forwarder));

    if (forwarder == NULL)
        return NULL;
    forwarder->peer = peer;
    forwarder->watch = watch;
    forwarder->standing = -1;
    frame_reader_init(&forwarder->reader, EVENT_MAX);
    return forwarder;
}

void forwarder_remove(struct forwarder *forwarder, int number)
{
    struct rule *rule = &forwarder->rules[number];

    if (!rule->is_used)
        return;
    (void)close(move_fd(rule->fd));
    if (rule->kind != FORWARDER_REMOTE && rule->rule.from.is_unix)
        (void)unlink(rule->rule.from.path);
    frame_reader_fini(&rule->reader);
    rule->is_used = false;
}

void forwarder_free(struct forwarder *forwarder)
{
    if (forwarder == NULL)
        return;
    for (int i = 0; i < FORWARDER_RULES_MAX; i++)
        forwarder_remove(forwarder, i);
    while (forwarder->count > 0)
        conn_free(forwarder->conns[--forwarder->count]);
    frame_reader_fini(&forwarder->reader);
    if (forwarder->standing >= 0)
        (void)close(forwarder->standing);
    free(forwarder);
}

static void problem(const struct forwarder *forwarder, const char *what,
                    const struct crosh_error *err)
{
    char text[1024];

    (void)snprintf(text, sizeof(text), "%s: %s", what, err->message);
    if (forwarder->watch->problem != NULL)
        forwarder->watch->problem(forwarder->watch->data, text);
}

static int listen_remotely(struct forwarder *forwarder, struct rule *rule, struct crosh_error *err)
{
    Streams__Request request = STREAMS__REQUEST__INIT;
    Streams__Listen listen = STREAMS__LISTEN__INIT;
    Streams__Place *at = NULL;
    Streams__Place place;
    Streams__Tcp tcp;
    int r;

    endpoint_to_place(&rule->rule.from, &place, &tcp);
    listen.at = &place;
    request.op_case = STREAMS__REQUEST__OP_LISTEN;
    request.listen = &listen;
    rule->fd = stream_open(forwarder->peer, &request, err);
    if (rule->fd < 0)
        return rule->fd;
    r = stream_await_answer(rule->fd, &rule->reader, &at, err);
    if (r == 0 && at != NULL && forwarder->watch->remote != NULL)
        forwarder->watch->remote(forwarder->watch->data, at);
    if (at != NULL)
        streams__place__free_unpacked(at, NULL);
    return r;
}

int forwarder_add(struct forwarder *forwarder, enum forwarder_kind kind,
                  const struct forward_rule *rule, struct crosh_error *err)
{
    int r;

    for (int i = 0; i < FORWARDER_RULES_MAX; i++) {
        struct rule *slot = &forwarder->rules[i];

        if (slot->is_used)
            continue;
        *slot = (struct rule){.kind = kind, .rule = *rule};
        frame_reader_init(&slot->reader, EVENT_MAX);
        if (kind == FORWARDER_REMOTE)
            r = listen_remotely(forwarder, slot, err);
        else
            r = slot->fd = endpoint_listen(&rule->from, err);
        if (r < 0) {
            if (slot->fd >= 0)
                (void)close(slot->fd);
            frame_reader_fini(&slot->reader);
            return r;
        }
        slot->is_used = true;
        return i;
    }
    return crosh_error_set(err, -E2BIG, "more than %d forwardings", FORWARDER_RULES_MAX);
}

static struct conn *add_conn(struct forwarder *forwarder, int near, int64_t timeout_ms)
{
    struct conn *conn = forwarder->count < FORWARDER_STREAMS_MAX ? calloc(1, sizeof(*conn)) : NULL;

    if (conn == NULL) {
        if (near >= 0)
            (void)close(near);
        return NULL;
    }
    conn->near = near;
    conn->far = -1;
    conn->deadline = deadline_in(timeout_ms);
    frame_reader_init(&conn->reader, FRAME_COMPAT_MAX);
    byte_queue_init(&conn->said, SOCKS_REQUEST_MAX);
    forwarder->conns[forwarder->count++] = conn;
    return conn;
}

/* A small reply to one whose socket is empty: it fits, or the client is of no use. */
static void say(struct conn *conn, const uint8_t *reply, size_t size)
{
    if (size > 0 && send(conn->near, reply, size, MSG_NOSIGNAL) != (ssize_t)size)
        conn->is_over = true;
}

/* The guest, or the way to it, said no. */
static void fail(const struct forwarder *forwarder, struct conn *conn,
                 const struct crosh_error *err)
{
    uint8_t reply[SOCKS_REPLY_MAX];

    if (conn->is_socks)
        say(conn, reply, socks_reply(&conn->socks, false, reply));
    else
        problem(forwarder, forwarder->peer->vm, err);
    conn->is_over = true;
}

static void ask(struct forwarder *forwarder, struct conn *conn, Streams__Request *request)
{
    struct crosh_error err = {0};

    conn->state = STATE_ANSWER;
    conn->deadline = deadline_in(ANSWER_TIMEOUT_MS);
    conn->far = stream_open(forwarder->peer, request, &err);
    if (conn->far < 0)
        fail(forwarder, conn, &err);
}

static void ask_to_connect(struct forwarder *forwarder, struct conn *conn,
                           const struct endpoint *to)
{
    Streams__Request request = STREAMS__REQUEST__INIT;
    Streams__Connect connect_to = STREAMS__CONNECT__INIT;
    Streams__Place place;
    Streams__Tcp tcp;

    endpoint_to_place(to, &place, &tcp);
    connect_to.to = &place;
    request.op_case = STREAMS__REQUEST__OP_CONNECT;
    request.connect = &connect_to;
    ask(forwarder, conn, &request);
}

static void take_client(struct forwarder *forwarder, const struct rule *rule)
{
    int near = accept4(rule->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    struct conn *conn;

    if (near < 0)
        return;
    conn = add_conn(forwarder, near, SOCKS_TIMEOUT_MS);
    if (conn == NULL)
        return;
    conn->is_socks = rule->kind == FORWARDER_DYNAMIC;
    if (!conn->is_socks)
        ask_to_connect(forwarder, conn, &rule->rule.to);
}

/* The stream is connected: from now on, bytes. */
static void begin_relay(struct conn *conn)
{
    uint8_t reply[SOCKS_REPLY_MAX];
    const uint8_t *rest;
    size_t size = frame_reader_rest(&conn->reader, &rest);

    if (conn->is_socks)
        say(conn, reply, socks_reply(&conn->socks, true, reply));
    relay_pair_init(&conn->pair, conn->near, conn->near, conn->far, conn->far);
    if (byte_queue_add(&conn->pair.sides[0].queue, rest, size) < 0 ||
        byte_queue_add(&conn->pair.sides[1].queue, byte_queue_front(&conn->said),
                       byte_queue_size(&conn->said)) < 0)
        conn->is_over = true;
    conn->near = conn->far = -1;
    conn->state = STATE_RELAY;
    conn->deadline = DEADLINE_NEVER;
}

static void read_answer(struct forwarder *forwarder, struct conn *conn)
{
    struct crosh_error err = {0};
    int r = stream_read_answer(conn->far, &conn->reader, NULL, &err);

    if (r < 0 || (r > 0 && err.code < 0))
        fail(forwarder, conn, &err);
    else if (r > 0 && conn->near < 0)
        conn->is_over =
            true; /* accepted and closed at once, so that who waits there learns of it */
    else if (r > 0)
        begin_relay(conn);
}

static void read_socks(struct forwarder *forwarder, struct conn *conn)
{
    uint8_t data[SOCKS_REQUEST_MAX];
    size_t room = SOCKS_REQUEST_MAX - byte_queue_size(&conn->said);
    ssize_t n = room > 0 ? read(conn->near, data, room) : 0;
    uint8_t reply[SOCKS_REPLY_MAX];
    struct endpoint to = {.port = 0};
    size_t reply_size;
    size_t taken;
    int r;

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0 || byte_queue_add(&conn->said, data, (size_t)n) < 0) {
        conn->is_over = true;
        return;
    }
    do {
        r = socks_take(&conn->socks, byte_queue_front(&conn->said), byte_queue_size(&conn->said),
                       &taken, reply, &reply_size);
        conn->said.start += taken;
        say(conn, reply, reply_size);
    } while (r == 0 && taken > 0 && !conn->is_over);
    if (r < 0)
        conn->is_over = true;
    if (r != 1 || conn->is_over)
        return;
    (void)snprintf(to.host, sizeof(to.host), "%s", conn->socks.host);
    to.port = conn->socks.port;
    ask_to_connect(forwarder, conn, &to);
}

/* Somebody in the guest has connected to a remote rule: led to the rule's end on the host. */
static void take_incoming(struct forwarder *forwarder, const struct rule *rule, uint64_t id)
{
    Streams__Request request = STREAMS__REQUEST__INIT;
    Streams__Accept accepted = STREAMS__ACCEPT__INIT;
    struct crosh_error err = {0};
    char text[320];
    int near = endpoint_connect(&rule->rule.to);
    struct conn *conn;

    if (near < 0) {
        (void)crosh_error_set(&err, near, "%s", strerror(-near));
        problem(forwarder, endpoint_text(&rule->rule.to, text, sizeof(text)), &err);
    }
    conn = add_conn(forwarder, near, ANSWER_TIMEOUT_MS);
    if (conn == NULL)
        return;
    accepted.id = id;
    request.op_case = STREAMS__REQUEST__OP_ACCEPT;
    request.accept = &accepted;
    ask(forwarder, conn, &request);
}

/* Takes the events of a standing stream. Negative when it is broken. */
static int read_events(struct forwarder *forwarder, int fd, struct frame_reader *reader,
                       const struct rule *rule)
{
    const uint8_t *data;
    size_t size;
    int r = fd >= 0 ? frame_reader_fill(reader, fd) : 1;

    if (r == -EAGAIN)
        return 0;
    if (r <= 0 && r != -ENOBUFS)
        return -ENOTCONN;
    while ((r = frame_reader_next(reader, &data, &size)) > 0) {
        Streams__Event *event = streams__event__unpack(NULL, size, data);

        if (event == NULL)
            return -EBADMSG;
        if (event->what_case == STREAMS__EVENT__WHAT_INCOMING && rule != NULL)
            take_incoming(forwarder, rule, event->incoming->id);
        else if (event->what_case == STREAMS__EVENT__WHAT_PORTS && rule == NULL &&
                 forwarder->watch->ports != NULL)
            forwarder->watch->ports(forwarder->watch->data, forwarder, event->ports);
        streams__event__free_unpacked(event, NULL);
    }
    return r;
}

static size_t prepare_conn(const struct conn *conn, struct pollfd polls[4])
{
    if (conn->state == STATE_RELAY) {
        relay_pair_prepare(&conn->pair, polls);
        return 4;
    }
    polls[0] = (struct pollfd){.fd = conn->near,
                               .events = conn->state == STATE_SOCKS ? POLLIN : POLLRDHUP};
    /* A socket that is still connecting says nothing of use. */
    if (conn->state == STATE_ANSWER)
        polls[0].fd = -1;
    polls[1] = (struct pollfd){.fd = conn->far, .events = POLLIN};
    return 2;
}

static void handle_conn(struct forwarder *forwarder, struct conn *conn, const struct pollfd *polls)
{
    if (conn->state == STATE_RELAY)
        conn->is_over = conn->is_over || relay_pair_handle(&conn->pair, polls);
    else if (conn->state == STATE_SOCKS && polls[0].revents != 0)
        read_socks(forwarder, conn);
    else if (conn->state == STATE_ANSWER && polls[1].revents != 0)
        read_answer(forwarder, conn);
}

/* Drops what is over or has waited too long. How long until the next such moment, or -1. */
static int take_time(struct forwarder *forwarder)
{
    int64_t now = deadline_now();
    int64_t next = DEADLINE_NEVER;

    for (size_t i = forwarder->count; i > 0; i--) {
        struct conn *conn = forwarder->conns[i - 1];

        if (conn->is_over || conn->deadline <= now) {
            forwarder->conns[i - 1] = forwarder->conns[--forwarder->count];
            conn_free(conn);
        } else if (conn->deadline < next) {
            next = conn->deadline;
        }
    }
    return next == DEADLINE_NEVER ? -1 : (int)(next - now);
}

static void handle_rule(struct forwarder *forwarder, struct rule *rule)
{
    if (rule->kind != FORWARDER_REMOTE)
        take_client(forwarder, rule);
    else if (read_events(forwarder, rule->fd, &rule->reader, rule) < 0)
        forwarder->is_lost = true;
}

/* One turn of the loop. 1 when it is to stop. */
static int turn(struct forwarder *forwarder, int stop_fd)
{
    struct pollfd *polls = forwarder->polls;
    int timeout = take_time(forwarder);
    size_t count = forwarder->count;
    size_t used = 2;

    polls[0] = (struct pollfd){.fd = stop_fd, .events = POLLIN};
    polls[1] = (struct pollfd){.fd = forwarder->standing, .events = POLLIN};
    for (int i = 0; i < FORWARDER_RULES_MAX; i++) {
        const struct rule *rule = &forwarder->rules[i];
        bool may_take = rule->is_used && (rule->kind == FORWARDER_REMOTE ||
                                          forwarder->count < FORWARDER_STREAMS_MAX);

        polls[used++] = (struct pollfd){.fd = may_take ? rule->fd : -1, .events = POLLIN};
    }
    for (size_t i = 0; i < count; i++)
        used += prepare_conn(forwarder->conns[i], polls + used);
    if (poll(polls, used, timeout) < 0)
        return 0;
    if (polls[0].revents != 0)
        return 1;
    used = 2 + FORWARDER_RULES_MAX;
    for (size_t i = 0; i < count; i++) {
        size_t size = forwarder->conns[i]->state == STATE_RELAY ? 4 : 2;

        handle_conn(forwarder, forwarder->conns[i], polls + used);
        used += size;
    }
    for (int i = 0; i < FORWARDER_RULES_MAX; i++) {
        if (polls[2 + i].revents != 0)
            handle_rule(forwarder, &forwarder->rules[i]);
    }
    if (polls[1].revents != 0 &&
        read_events(forwarder, forwarder->standing, &forwarder->reader, NULL) < 0)
        forwarder->is_lost = true;
    return 0;
}

static int begin_watch(struct forwarder *forwarder, struct crosh_error *err)
{
    Streams__Request request = STREAMS__REQUEST__INIT;
    Streams__Watch watch = STREAMS__WATCH__INIT;
    int r;

    request.op_case = STREAMS__REQUEST__OP_WATCH;
    request.watch = &watch;
    forwarder->standing = stream_open(forwarder->peer, &request, err);
    if (forwarder->standing < 0)
        return forwarder->standing;
    r = stream_await_answer(forwarder->standing, &forwarder->reader, NULL, err);
    if (r < 0)
        return r;
    /* The first list may have come along. */
    if (read_events(forwarder, -1, &forwarder->reader, NULL) < 0)
        forwarder->is_lost = true;
    return 0;
}

int forwarder_run(struct forwarder *forwarder, int stop_fd, struct crosh_error *err)
{
    int r = begin_watch(forwarder, err);

    for (int i = 0; r == 0 && i < FORWARDER_RULES_MAX; i++) {
        struct rule *rule = &forwarder->rules[i];

        /* As may those who have connected already. */
        if (rule->is_used && rule->kind == FORWARDER_REMOTE &&
            read_events(forwarder, -1, &rule->reader, rule) < 0)
            forwarder->is_lost = true;
    }
    while (r == 0 && !forwarder->is_lost)
        r = turn(forwarder, stop_fd);
    if (r > 0)
        return 0;
    if (r < 0)
        return r;
    return crosh_error_set(err, CROSH_ELOST, "%s: the connection was lost", forwarder->peer->vm);
}

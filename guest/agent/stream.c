/* SPDX-License-Identifier: MIT */
/* The life of one stream: a request, and what it becomes. */
#include "guest/agent/stream.h"

#include <errno.h>
#include <grp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "guest/agent/inside.h"
#include "guest/agent/log.h"
#include "guest/agent/users.h"
#include "lib/base/cleanup.h"
#include "lib/base/deadline.h"
#include "lib/wire/streams.pb-c.h"

#define REQUEST_MAX        4096u
#define REQUEST_TIMEOUT_MS 15000
#define CONNECT_TIMEOUT_MS 30000
#define INSIDE_TIMEOUT_MS  70000 /* LXD is asked as well */
/* How long one who has connected waits for the host. */
#define PENDING_TIMEOUT_MS 30000
/* How often the kernel is asked for the ports: it does not tell by itself. */
#define WATCH_MS     1000
#define LOOKUP_MAX   4096u
#define EVENTS_LIMIT 65536u

/* Whether the stream waits for something of the guest before it is answered. */
static bool is_waiting(enum stream_kind kind)
{
    return kind == STREAM_INSIDE || kind == STREAM_LOOKUP || kind == STREAM_CONNECT;
}

struct stream *stream_new(int fd)
{
    struct stream *stream = calloc(1, sizeof(*stream));

    if (stream == NULL) {
        (void)close(fd);
        return NULL;
    }
    stream->fd = fd;
    stream->far = -1;
    stream->deadline = deadline_in(REQUEST_TIMEOUT_MS);
    frame_reader_init(&stream->reader, REQUEST_MAX);
    byte_queue_init(&stream->queue, EVENTS_LIMIT);
    byte_queue_init(&stream->text, LOOKUP_MAX);
    return stream;
}

void stream_drop_pending(struct stream_service *service, size_t index, bool is_closed)
{
    if (is_closed)
        (void)close(service->pending[index].fd);
    service->pending[index] = service->pending[--service->pending_count];
}

void stream_free(struct stream_service *service, struct stream *stream)
{
    for (size_t i = service->pending_count; i > 0; i--) {
        if (service->pending[i - 1].owner == stream)
            stream_drop_pending(service, i - 1, true);
    }
    if (stream->kind == STREAM_RELAY)
        relay_pair_fini(&stream->pair);
    if (stream->fd >= 0)
        (void)close(stream->fd);
    if (stream->far >= 0)
        (void)close(stream->far);
    if (stream->path != NULL)
        (void)unlink(stream->path);
    free(stream->path);
    frame_reader_fini(&stream->reader);
    byte_queue_fini(&stream->queue);
    byte_queue_fini(&stream->text);
    free(stream);
}

/* Sends what is queued for the host; a host that is gone ends the stream. */
static void flush(struct stream *stream)
{
    if (byte_queue_flush(&stream->queue, stream->fd) < 0)
        stream->is_over = true;
}

static void answer(struct stream *stream, int code, const char *text, Streams__Place *at)
{
    Streams__Answer message = STREAMS__ANSWER__INIT;

    message.code = code;
    message.message = (char *)text;
    message.at = at;
    if (byte_queue_add_message(&stream->queue, &message.base) < 0)
        stream->is_over = true;
    flush(stream);
}

/* No: the host is told why and given time to read it. */
static void refuse(struct stream *stream, const struct crosh_error *err)
{
    answer(stream, err->code, err->message, NULL);
    (void)shutdown(stream->fd, SHUT_WR);
    if (stream->far >= 0)
        (void)close(move_fd(stream->far));
    stream->kind = STREAM_ENDING;
    stream->deadline = deadline_in(REQUEST_TIMEOUT_MS);
}

/* The stream is connected with far from now on, beginning with what was read of it already. */
static void begin_relay(struct stream *stream, int far)
{
    const uint8_t *rest;
    size_t size = frame_reader_rest(&stream->reader, &rest);

    answer(stream, 0, "", NULL);
    relay_pair_init(&stream->pair, stream->fd, stream->fd, far, far);
    if (byte_queue_add(&stream->pair.sides[1].queue, rest, size) < 0 ||
        byte_queue_add(&stream->pair.sides[0].queue, byte_queue_front(&stream->queue),
                       byte_queue_size(&stream->queue)) < 0)
        stream->is_over = true;
    byte_queue_clear(&stream->queue);
    stream->fd = stream->far = -1;
    stream->kind = STREAM_RELAY;
    stream->deadline = DEADLINE_NEVER;
}

/* Tries the place's addresses from the next one on. */
static void connect_next(struct stream *stream, int why)
{
    struct crosh_error err = {0};

    if (stream->far >= 0)
        (void)close(move_fd(stream->far));
    while (stream->attempt < stream->place.count) {
        int fd = place_connect(&stream->place, stream->attempt++);

        if (fd >= 0) {
            stream->far = fd;
            stream->kind = STREAM_CONNECT;
            stream->deadline = deadline_in(CONNECT_TIMEOUT_MS);
            return;
        }
        why = fd;
    }
    (void)crosh_error_set(&err, why, "cannot connect: %s", strerror(-why));
    refuse(stream, &err);
}

static void finish_connect(struct stream *stream)
{
    socklen_t size = sizeof(int);
    int error = 0;

    if (getsockopt(stream->far, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
        error = errno;
    if (error != 0)
        connect_next(stream, -error);
    else
        begin_relay(stream, move_fd(stream->far));
}

/* Reads the output of a lookup; at its end, connects. */
static void read_lookup(struct stream *stream)
{
    struct crosh_error err = {0};
    char data[1024];
    ssize_t n = read(stream->far, data, sizeof(data));

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n > 0 && byte_queue_size(&stream->text) < LOOKUP_MAX) {
        if (byte_queue_add(&stream->text, data, (size_t)n) < 0)
            stream->is_over = true;
        return;
    }
    (void)close(move_fd(stream->far));
    if (byte_queue_add(&stream->text, "", 1) < 0 ||
        place_lookup_end(&stream->place, (const char *)byte_queue_front(&stream->text),
                         byte_queue_size(&stream->text) - 1, stream->port, &err) < 0)
        refuse(stream, &err);
    else
        connect_next(stream, -EHOSTUNREACH);
}

static void begin_connect(struct stream *stream, const Streams__Connect *request,
                          struct crosh_error *err)
{
    int r = place_find(&stream->place, request->to, err);

    if (r == -EINPROGRESS) {
        stream->port = request->to->tcp->port;
        r = place_lookup(request->to->tcp->host, err);
        stream->far = r;
        stream->kind = STREAM_LOOKUP;
        stream->deadline = deadline_in(CONNECT_TIMEOUT_MS);
    } else if (r == 0) {
        connect_next(stream, -EHOSTUNREACH);
    }
    if (r < 0)
        refuse(stream, err);
}

/* The far socket listens at that place, which is given away. */
static void listening(struct stream *stream, Streams__Place *at)
{
    stream->kind = STREAM_LISTEN;
    stream->deadline = DEADLINE_NEVER;
    answer(stream, 0, "", at);
    streams__place__free_unpacked(at, NULL);
}

static void begin_listen(struct stream *stream, const Streams__Listen *request,
                         const struct user *user, struct crosh_error *err)
{
    Streams__Place *at = NULL;

    stream->far = place_listen(request->at, user->uid, user->gid, &at, err);
    if (stream->far < 0) {
        refuse(stream, err);
        return;
    }
    if (at->where_case == STREAMS__PLACE__WHERE_PATH)
        stream->path = strdup((const char *)at->path.data);
    listening(stream, at);
}

static void begin_accept(struct stream_service *service, struct stream *stream, uint64_t id,
                         struct crosh_error *err)
{
    for (size_t i = 0; i < service->pending_count; i++) {
        if (service->pending[i].id == id) {
            int fd = service->pending[i].fd;

            stream_drop_pending(service, i, false);
            begin_relay(stream, fd);
            return;
        }
    }
    (void)crosh_error_set(err, -ENOENT, "nobody of that number waits any more");
    refuse(stream, err);
}

/* Tells the host of the ports if they have changed. */
static void tell_ports(struct stream *stream, bool is_first)
{
    struct listener_port ports[LISTENERS_MAX];
    Streams__Event event = STREAMS__EVENT__INIT;
    Streams__Ports message = STREAMS__PORTS__INIT;
    Streams__Port entries[LISTENERS_MAX];
    Streams__Port *pointers[LISTENERS_MAX];
    int count;

    memset(ports, 0, sizeof(ports));
    count = stream->far >= 0 ? ports_list_in(stream->far, ports) : ports_list(ports);
    stream->deadline = deadline_in(WATCH_MS);
    if (count < 0 || byte_queue_size(&stream->queue) > 0 ||
        (!is_first && count == stream->port_count &&
         memcmp(ports, stream->ports, (size_t)count * sizeof(*ports)) == 0))
        return;
    for (int i = 0; i < count; i++) {
        streams__port__init(&entries[i]);
        entries[i].port = ports[i].port;
        entries[i].address = ports[i].address;
        pointers[i] = &entries[i];
    }
    message.ports = pointers;
    message.n_ports = (size_t)count;
    event.what_case = STREAMS__EVENT__WHAT_PORTS;
    event.ports = &message;
    if (byte_queue_add_message(&stream->queue, &event.base) < 0)
        stream->is_over = true;
    flush(stream);
    memcpy(stream->ports, ports, sizeof(ports));
    stream->port_count = count;
}

static void begin_watch(struct stream *stream)
{
    stream->kind = STREAM_WATCH;
    answer(stream, 0, "", NULL);
    tell_ports(stream, true);
}

/* The process in the container has done what it could. */
static void finish_inside(struct stream *stream)
{
    struct crosh_error err = {0};
    Streams__Place *at;
    int fd = inside_take(stream->far, &at, &err);

    (void)close(move_fd(stream->far));
    if (fd < 0) {
        refuse(stream, &err);
    } else if (stream->is_watch) {
        /* Nobody listens for a watch, whatever it says. */
        if (at != NULL)
            streams__place__free_unpacked(at, NULL);
        stream->far = fd;
        begin_watch(stream);
    } else if (at == NULL) {
        begin_relay(stream, fd);
    } else {
        /* A path there is not ours to remove: it would be looked for in the VM. */
        stream->far = fd;
        listening(stream, at);
    }
}

/* Does something as the user, on whose sockets alone it shall have an effect. */
static int become(const struct user *user, struct crosh_error *err)
{
    if (geteuid() != 0 || user->uid == 0)
        return 0;
    if (setgroups(user->group_count, user->groups) < 0 || setegid(user->gid) < 0 ||
        seteuid(user->uid) < 0)
        return crosh_error_errno(err, "cannot become user '%s'", user->name);
    return 0;
}

static void become_root_again(void)
{
    static const gid_t group = 0;

    if (getuid() != 0)
        return;
    if (seteuid(0) < 0 || setegid(0) < 0 || setgroups(1, &group) < 0) {
        agent_log_errno("streams: cannot become root again");
        _exit(1);
    }
}

static void begin(struct stream_service *service, struct stream *stream,
                  const Streams__Request *request)
{
    struct crosh_error err = {0};
    struct user user = {0};
    int r = 0;

    if (request->version != 1)
        r = crosh_error_set(&err, -EPROTONOSUPPORT, "version %u of the protocol is not known",
                            request->version);
    /* Who has connected waits here, whatever place that was at. */
    if (r == 0 && request->op_case == STREAMS__REQUEST__OP_ACCEPT) {
        begin_accept(service, stream, request->accept->id, &err);
        return;
    }
    if (r == 0 && inside_is_wanted(request)) {
        stream->far = r = inside_begin(request, &err);
        stream->kind = STREAM_INSIDE;
        stream->is_watch = request->op_case == STREAMS__REQUEST__OP_WATCH;
        stream->deadline = deadline_in(INSIDE_TIMEOUT_MS);
        if (r >= 0)
            return;
    }
    if (r == 0)
        r = user_lookup(&user, request->user, USERS_PASSWD_FILE, USERS_GROUP_FILE, &err);
    if (r == 0)
        r = become(&user, &err);
    if (r < 0) {
        refuse(stream, &err);
    } else if (request->op_case == STREAMS__REQUEST__OP_CONNECT) {
        begin_connect(stream, request->connect, &err);
    } else if (request->op_case == STREAMS__REQUEST__OP_LISTEN) {
        /* Its directory is root's. */
        if (request->listen->at != NULL &&
            request->listen->at->where_case == STREAMS__PLACE__WHERE_NAME)
            become_root_again();
        begin_listen(stream, request->listen, &user, &err);
    } else if (request->op_case == STREAMS__REQUEST__OP_WATCH) {
        begin_watch(stream);
    } else {
        (void)crosh_error_set(&err, -ENOSYS, "an unknown request");
        refuse(stream, &err);
    }
    become_root_again();
    user_fini(&user);
}

static void read_request(struct stream_service *service, struct stream *stream)
{
    struct crosh_error err = {0};
    Streams__Request *request = NULL;
    const uint8_t *data;
    size_t size;
    int r = frame_reader_fill(&stream->reader, stream->fd);

    if (r == -EAGAIN)
        return;
    if (r == 0 || (r < 0 && r != -EMSGSIZE && r != -ENOBUFS)) {
        stream->is_over = true;
        return;
    }
    r = frame_reader_next(&stream->reader, &data, &size);
    if (r == 0)
        return;
    if (r > 0)
        request = streams__request__unpack(NULL, size, data);
    if (request == NULL) {
        (void)crosh_error_set(&err, -EBADMSG, "malformed request");
        refuse(stream, &err);
        return;
    }
    begin(service, stream, request);
    streams__request__free_unpacked(request, NULL);
}

/* Somebody has connected to a listening socket: kept until the host accepts. */
static void take_incoming(struct stream_service *service, struct stream *stream)
{
    Streams__Event event = STREAMS__EVENT__INIT;
    Streams__Incoming incoming = STREAMS__INCOMING__INIT;
    int fd = stream_service_accept(service, stream->far);

    if (fd < 0)
        return;
    if (service->pending_count == PENDING_MAX) {
        (void)close(fd);
        return;
    }
    service->pending[service->pending_count++] =
        (struct pending){++service->last_id, fd, stream, deadline_in(PENDING_TIMEOUT_MS)};
    incoming.id = service->last_id;
    event.what_case = STREAMS__EVENT__WHAT_INCOMING;
    event.incoming = &incoming;
    if (byte_queue_add_message(&stream->queue, &event.base) < 0)
        stream->is_over = true;
    flush(stream);
}

/* A host that has nothing to say any more: only its end is of interest. */
static void read_end(struct stream *stream)
{
    uint8_t scrap[1024];
    ssize_t n = read(stream->fd, scrap, sizeof(scrap));

    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
        stream->is_over = true;
}

/* How many entries of polls a stream takes; the first is the host's but for a relay. */
size_t stream_prepare(const struct stream_service *service, const struct stream *stream,
                      struct pollfd polls[4])
{
    if (stream->kind == STREAM_RELAY) {
        relay_pair_prepare(&stream->pair, polls);
        return 4;
    }
    polls[0] = (struct pollfd){.fd = stream->fd, .events = POLLIN};
    if (byte_queue_size(&stream->queue) > 0)
        polls[0].events |= POLLOUT;
    /* While it waits for another, the host's data stays where it is. */
    if (is_waiting(stream->kind))
        polls[0].events = POLLRDHUP;
    polls[1] = (struct pollfd){.fd = stream->far,
                               .events = stream->kind == STREAM_CONNECT ? POLLOUT : POLLIN};
    if (stream->kind == STREAM_WATCH)
        polls[1].fd = -1;
    if (stream->kind == STREAM_LISTEN &&
        (byte_queue_size(&stream->queue) > EVENTS_LIMIT || service->pending_count == PENDING_MAX ||
         service->is_short))
        polls[1].fd = -1;
    return 2;
}

void stream_handle(struct stream_service *service, struct stream *stream,
                   const struct pollfd *polls)
{
    if (stream->kind == STREAM_RELAY) {
        stream->is_over = relay_pair_handle(&stream->pair, polls);
        return;
    }
    if ((polls[0].revents & POLLOUT) != 0)
        flush(stream);
    if (is_waiting(stream->kind)) {
        if ((polls[0].revents & ~POLLOUT) != 0)
            stream->is_over = true;
        else if (polls[1].revents != 0 && stream->kind == STREAM_INSIDE)
            finish_inside(stream);
        else if (polls[1].revents != 0 && stream->kind == STREAM_LOOKUP)
            read_lookup(stream);
        else if (polls[1].revents != 0)
            finish_connect(stream);
        return;
    }
    if (stream->kind == STREAM_LISTEN && polls[1].revents != 0)
        take_incoming(service, stream);
    if ((polls[0].revents & ~POLLOUT) == 0)
        return;
    if (stream->kind == STREAM_REQUEST)
        read_request(service, stream);
    else
        read_end(stream);
}

void stream_expire(struct stream *stream)
{
    struct crosh_error err = {0};

    if (stream->kind == STREAM_WATCH) {
        tell_ports(stream, false);
    } else if (is_waiting(stream->kind)) {
        (void)crosh_error_set(&err, -ETIMEDOUT, "cannot connect: %s", strerror(ETIMEDOUT));
        refuse(stream, &err);
    } else {
        stream->is_over = true;
    }
}

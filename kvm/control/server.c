/* SPDX-License-Identifier: MIT */
/* Implements the control server. */
#include "kvm/control/server.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kvm/control/framed-stream.h"
#include "lib/base/cleanup.h"
#include "lib/base/unix-socket.h"
#include "lib/wire/frame.h"

#define CLIENTS_MAX     32
#define REQUEST_MAX     4096u
#define ACCEPT_PAUSE_MS 100

struct control_client {
    struct control_server *server;
    struct framed_stream *stream; /* NULL: this slot is free */
    struct control_call *call;    /* being carried out: the stream is held meanwhile */
    bool subscribed;
};

/* Owns the request until it was answered, which may be after its client has left. */
struct control_call {
    struct control_client *client; /* NULL: has left */
    Control__Request *request;
    struct frame_fds fds;
};

struct control_server {
    struct event_loop *loop;
    const struct control_request *requests;
    void *opaque;
    char *path;
    int listen_fd;
    struct event_source *listener;
    struct event_source *resume; /* listens again after descriptors ran out */
    struct control_client client[CLIENTS_MAX];
};

/* Requests and their answers */

static void call_free(struct control_call *call)
{
    if (call == NULL)
        return;
    if (call->client != NULL) {
        call->client->call = NULL;
        framed_stream_hold(call->client->stream, false);
    }
    frame_fds_close(&call->fds);
    if (call->request != NULL)
        control__request__free_unpacked(call->request, NULL);
    free(call);
}

void control_answer(struct control_call *call, Control__Response *response)
{
    Control__FromLauncher message = CONTROL__FROM_LAUNCHER__INIT;

    response->id = call->request->id;
    response->version = CONTROL_VERSION;
    message.msg_case = CONTROL__FROM_LAUNCHER__MSG_RESPONSE;
    message.response = response;
    if (call->client != NULL)
        framed_stream_send(call->client->stream, &message.base);
    call_free(call);
}

void control_answer_code(struct control_call *call, int code, const struct crosh_error *err)
{
    Control__Response response = CONTROL__RESPONSE__INIT;

    response.code = code;
    if (code < 0) {
        response.message = (char *)err->message;
        response.hint = (char *)err->hint;
    }
    control_answer(call, &response);
}

const Control__Request *control_call_request(const struct control_call *call)
{
    return call->request;
}

int control_call_take_fd(struct control_call *call)
{
    for (size_t i = 0; i < call->fds.count; i++) {
        if (call->fds.fd[i] >= 0)
            return move_fd(call->fds.fd[i]);
    }
    return -1;
}

void control_call_subscribe(struct control_call *call)
{
    if (call->client != NULL)
        call->client->subscribed = true;
}

/* Moves the descriptors that the request says came with it from the stream to the call. */
static int collect_fds(struct control_call *call, struct crosh_error *err)
{
    while (call->fds.count < call->request->descriptors) {
        int fd = call->fds.count < FRAME_FDS_MAX ? framed_stream_take_fd(call->client->stream) : -1;

        if (fd < 0)
            return crosh_error_set(err, -EBADF, "%u descriptors are announced, but %zu came",
                                   call->request->descriptors, call->fds.count);
        call->fds.fd[call->fds.count++] = fd;
    }
    return 0;
}

static int run_call(struct control_call *call, struct crosh_error *err)
{
    const struct control_server *server = call->client->server;
    const struct control_request *row;

    if (call->request->version != CONTROL_VERSION)
        return crosh_error_set(err, -EPROTONOSUPPORT,
                               "this launcher speaks version %d of the control protocol, not %u",
                               CONTROL_VERSION, call->request->version);
    for (row = server->requests; row->run != NULL; row++) {
        if (row->op == call->request->op_case)
            return row->run(call, server->opaque, err);
    }
    return crosh_error_set(err, -ENOSYS, "the launcher does not know this request");
}

static int on_frame(void *opaque, const uint8_t *data, size_t size)
{
    struct control_client *client = opaque;
    struct control_call *call = calloc(1, sizeof(*call));
    struct crosh_error err = {0};
    int ret;

    if (call == NULL)
        return -ENOMEM;
    call->request = control__request__unpack(NULL, size, data);
    if (call->request == NULL) {
        call_free(call);
        return -EBADMSG;
    }
    call->client = client;
    client->call = call;
    ret = collect_fds(call, &err);
    if (ret == 0)
        ret = run_call(call, &err);
    if (ret != CONTROL_ANSWERED)
        control_answer_code(call, ret, &err);
    if (client->call != NULL) /* later */
        framed_stream_hold(client->stream, true);
    return 0;
}

/* Clients */

static void on_closed(void *opaque)
{
    struct control_client *client = opaque;

    if (client->call != NULL)
        client->call->client = NULL;
    client->call = NULL;
    framed_stream_free(client->stream);
    client->stream = NULL;
    client->subscribed = false;
}

static int server_adopt(struct control_server *server, int fd, bool subscribed)
{
    static const struct framed_stream_ops ops = {.frame = on_frame, .closed = on_closed};

    for (unsigned int i = 0; i < CLIENTS_MAX; i++) {
        struct control_client *client = &server->client[i];

        if (client->stream != NULL)
            continue;
        client->server = server;
        client->subscribed = subscribed;
        client->stream = framed_stream_new(server->loop, fd, REQUEST_MAX, &ops, client);
        if (client->stream == NULL)
            return -ENOMEM;
        framed_stream_accept_fds(client->stream);
        return 0;
    }
    close(fd);
    return -EMFILE;
}

static void on_connect(void *opaque, uint32_t events)
{
    struct control_server *server = opaque;
    int fd = accept4(server->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    (void)events;
    if (fd >= 0) {
        (void)server_adopt(server, fd, false);
    } else if (errno == EMFILE || errno == ENFILE) {
        /* The connection stays pending and the socket readable: pause instead of spinning. */
        event_modify(server->listener, 0);
        event_timer_set(server->resume, ACCEPT_PAUSE_MS);
    }
}

static void on_resume(void *opaque)
{
    struct control_server *server = opaque;

    event_modify(server->listener, EPOLLIN);
}

struct control_server *control_server_new(struct event_loop *loop, const char *socket_path,
                                          const struct control_request *requests, void *opaque,
                                          struct crosh_error *err)
{
    struct control_server *server = calloc(1, sizeof(*server));

    if (server == NULL) {
        crosh_error_errno(err, "control socket");
        return NULL;
    }
    server->loop = loop;
    server->requests = requests;
    server->opaque = opaque;
    server->path = strdup(socket_path);
    server->listen_fd = unix_listen(socket_path, err);
    if (server->listen_fd < 0) {
        control_server_free(server);
        return NULL;
    }
    server->resume = event_timer_add(loop, on_resume, server);
    server->listener = event_add(loop, server->listen_fd, EPOLLIN, on_connect, server);
    if (server->path == NULL || server->resume == NULL || server->listener == NULL) {
        crosh_error_errno(err, "control socket");
        control_server_free(server);
        return NULL;
    }
    return server;
}

void control_server_free(struct control_server *server)
{
    if (server == NULL)
        return;
    for (unsigned int i = 0; i < CLIENTS_MAX; i++)
        if (server->client[i].stream != NULL)
            on_closed(&server->client[i]);
    event_remove(server->listener);
    event_remove(server->resume);
    if (server->listen_fd >= 0) {
        close(server->listen_fd);
        if (server->path != NULL)
            (void)unlink(server->path);
    }
    free(server->path);
    free(server);
}

int control_server_adopt(struct control_server *server, int fd, struct crosh_error *err)
{
    int ret = server_adopt(server, fd, true);

    return ret < 0 ? crosh_error_set(err, ret, "control stream: %s", strerror(-ret)) : 0;
}

void control_server_event(struct control_server *server, Control__Event *event)
{
    Control__FromLauncher message = CONTROL__FROM_LAUNCHER__INIT;

    message.msg_case = CONTROL__FROM_LAUNCHER__MSG_EVENT;
    message.event = event;
    for (unsigned int i = 0; i < CLIENTS_MAX; i++) {
        if (server->client[i].stream != NULL && server->client[i].subscribed)
            framed_stream_send(server->client[i].stream, &message.base);
    }
}

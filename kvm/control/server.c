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

#define PROTOCOL        1
#define CLIENTS_MAX     32
#define REQUEST_MAX     4096u
#define ACCEPT_PAUSE_MS 100

struct control_client {
    struct control_server *server;
    struct framed_stream *stream; /* NULL: this slot is free */
    bool subscribed;
};

struct control_server {
    struct event_loop *loop;
    const struct control_ops *ops;
    void *opaque;
    char *path;
    int listen_fd;
    struct event_source *listener;
    struct event_source *resume; /* listens again after descriptors ran out */
    struct control_client client[CLIENTS_MAX];
};

static void free_request(Control__Request **request)
{
    if (*request != NULL)
        control__request__free_unpacked(*request, NULL);
}

static void client_respond(struct control_client *client, Control__Response *response)
{
    Control__FromLauncher message = CONTROL__FROM_LAUNCHER__INIT;

    message.msg_case = CONTROL__FROM_LAUNCHER__MSG_RESPONSE;
    message.response = response;
    framed_stream_send(client->stream, &message.base);
}

/* Returns 1 when status was filled, 0 when there is nothing to add, or negative. */
static int run_request(struct control_client *client, const Control__Request *request,
                       Control__StatusReply *status, struct crosh_error *err)
{
    struct control_server *server = client->server;

    if (request->version != PROTOCOL)
        return crosh_error_set(err, -EPROTONOSUPPORT,
                               "this launcher speaks version %d of the control protocol, not %u",
                               PROTOCOL, request->version);
    switch (request->op_case) {
    case CONTROL__REQUEST__OP_STATUS:
        server->ops->status(server->opaque, status);
        return 1;
    case CONTROL__REQUEST__OP_STOP:
        return server->ops->stop(server->opaque, request->stop, err);
    case CONTROL__REQUEST__OP_SUBSCRIBE:
        client->subscribed = true;
        return 0;
    default:
        return crosh_error_set(err, -ENOSYS, "the launcher does not know this request");
    }
}

static int on_frame(void *opaque, const uint8_t *data, size_t size)
{
    struct control_client *client = opaque;
    cleanup(free_request) Control__Request *request = control__request__unpack(NULL, size, data);
    Control__Response response = CONTROL__RESPONSE__INIT;
    Control__StatusReply status = CONTROL__STATUS_REPLY__INIT;
    struct crosh_error err = {0};
    int ret;

    if (request == NULL)
        return -EBADMSG;
    ret = run_request(client, request, &status, &err);
    response.id = request->id;
    response.code = ret < 0 ? ret : 0;
    response.message = err.message;
    response.hint = err.hint;
    response.status = ret == 1 ? &status : NULL;
    client_respond(client, &response);
    return 0;
}

static void on_closed(void *opaque)
{
    struct control_client *client = opaque;

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
        return client->stream != NULL ? 0 : -ENOMEM;
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
                                          const struct control_ops *ops, void *opaque,
                                          struct crosh_error *err)
{
    struct control_server *server = calloc(1, sizeof(*server));

    if (server == NULL) {
        crosh_error_errno(err, "control socket");
        return NULL;
    }
    server->loop = loop;
    server->ops = ops;
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
        framed_stream_free(server->client[i].stream);
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

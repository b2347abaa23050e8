/* SPDX-License-Identifier: MIT */
/* Implements the requests to the keeper one by one. */
#include "lib/net/client.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/base/cleanup.h"

static int nonsense(struct crosh_error *err)
{
    return crosh_error_set(err, -EBADMSG, "the keeper of the VMs' network talks nonsense");
}

/* For requests where success is all there is to be told. */
static int tell(Net__Request *request, struct crosh_error *err)
{
    Net__Response *response = NULL;
    int code = crosh_priv_net_call(request, false, &response, NULL, NULL, err);

    crosh_priv_net_response_free(response);
    return code;
}

/* The message points into what. */
static void fill(Net__Published *message, const struct crosh_publish *what)
{
    net__published__init(message);
    message->container = (char *)(uintptr_t)what->container;
    message->bind = (char *)(uintptr_t)what->bind;
    message->host_port = what->host_port;
    message->guest_port = what->guest_port;
    message->udp = what->is_udp;
}

int crosh_priv_net_attach(const char *vm, unsigned int queues, bool isolated,
                          const struct crosh_publish *published, size_t published_count,
                          Net__Response **response, int fds[CROSH_NET_FDS_MAX], size_t *count,
                          struct crosh_error *err)
{
    Net__Request request = NET__REQUEST__INIT;
    Net__Attach attach = NET__ATTACH__INIT;
    cleanup_free Net__Published *messages = calloc(published_count + 1, sizeof(*messages));
    cleanup_free Net__Published **list = calloc(published_count + 1, sizeof(*list));
    int code;

    if (messages == NULL || list == NULL)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    for (size_t i = 0; i < published_count; i++) {
        fill(&messages[i], &published[i]);
        list[i] = &messages[i];
    }
    request.op_case = NET__REQUEST__OP_ATTACH;
    request.attach = &attach;
    attach.vm = (char *)(uintptr_t)vm;
    attach.queues = queues;
    attach.isolated = isolated;
    attach.n_published = published_count;
    attach.published = list;
    code = crosh_priv_net_call(&request, true, response, fds, count, err);
    if (code < 0)
        return code;
    if ((*response)->attached != NULL && (*response)->attached->vm != NULL && *count > 0)
        return 0;
    while (*count > 0)
        (void)close(fds[--*count]);
    crosh_priv_net_response_free(move_ptr(*response));
    return nonsense(err);
}

Net__Response *crosh_priv_net_list(struct crosh_error *err)
{
    Net__Request request = NET__REQUEST__INIT;
    Net__List list = NET__LIST__INIT;
    Net__Response *response = NULL;

    request.op_case = NET__REQUEST__OP_LIST;
    request.list = &list;
    if (crosh_priv_net_call(&request, false, &response, NULL, NULL, err) < 0)
        return NULL;
    if (response->listing != NULL)
        return response;
    crosh_priv_net_response_free(response);
    nonsense(err);
    return NULL;
}

int crosh_priv_net_set_link(const char *vm, bool up, struct crosh_error *err)
{
    Net__Request request = NET__REQUEST__INIT;
    Net__SetLink set_link = NET__SET_LINK__INIT;

    request.op_case = NET__REQUEST__OP_SET_LINK;
    request.set_link = &set_link;
    set_link.vm = (char *)(uintptr_t)vm;
    set_link.up = up;
    return tell(&request, err);
}

int crosh_priv_net_publish(const char *vm, bool remove, const struct crosh_publish *what,
                           struct crosh_error *err)
{
    Net__Request request = NET__REQUEST__INIT;
    Net__Publish publish = NET__PUBLISH__INIT;
    Net__Published message;

    fill(&message, what);
    request.op_case = NET__REQUEST__OP_PUBLISH;
    request.publish = &publish;
    publish.vm = (char *)(uintptr_t)vm;
    publish.remove = remove;
    publish.what = &message;
    return tell(&request, err);
}

/* For requests that a descriptor answers. */
static int ask_fd(Net__Request *request, bool *is_raw, struct crosh_error *err)
{
    Net__Response *response = NULL;
    int fds[CROSH_NET_FDS_MAX];
    size_t count = 0;
    int code = crosh_priv_net_call(request, false, &response, fds, &count, err);

    if (code < 0)
        return code;
    if (is_raw != NULL)
        *is_raw = response->raw;
    crosh_priv_net_response_free(response);
    while (count > 1)
        (void)close(fds[--count]);
    return count == 1 ? fds[0] : nonsense(err);
}

int crosh_priv_net_ping_socket(bool is_ipv6, bool *is_raw, struct crosh_error *err)
{
    Net__Request request = NET__REQUEST__INIT;
    Net__PingSocket ping = NET__PING_SOCKET__INIT;

    request.op_case = NET__REQUEST__OP_PING_SOCKET;
    request.ping_socket = &ping;
    ping.ipv6 = is_ipv6;
    return ask_fd(&request, is_raw, err);
}

int crosh_priv_net_capture(const char *vm, struct crosh_error *err)
{
    Net__Request request = NET__REQUEST__INIT;
    Net__Capture capture = NET__CAPTURE__INIT;

    request.op_case = NET__REQUEST__OP_CAPTURE;
    request.capture = &capture;
    capture.vm = (char *)(uintptr_t)vm;
    return ask_fd(&request, NULL, err);
}

int crosh_priv_net_resolve(const char *name, Net__Response **response, struct crosh_error *err)
{
    Net__Request request = NET__REQUEST__INIT;
    Net__Resolve resolve = NET__RESOLVE__INIT;

    request.op_case = NET__REQUEST__OP_RESOLVE;
    request.resolve = &resolve;
    resolve.name = (char *)(uintptr_t)name;
    return crosh_priv_net_call(&request, false, response, NULL, NULL, err);
}

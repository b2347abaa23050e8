/* SPDX-License-Identifier: MIT */
/*
 * Implements the question. LXD's name server knows a container's lease long after it was stopped;
 * LXD itself tells its state without a look into it, for little.
 */
#include "net/container-state.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "lib/base/cleanup.h"
#include "lib/base/deadline.h"
#include "lib/lxd/instance.h"
#include "lib/lxd/reply.h"

/* One container without its state; more than its configuration is long. */
#define ANSWER_MAX ((size_t)1 << 20)

/* Whether no process of it is there, by LXD's name for its state. */
static bool has_stopped(const char *status)
{
    return strcmp(status, "Stopped") == 0 || strcmp(status, "Error") == 0;
}

enum container_state container_state_parse(const char *answer, size_t size)
{
    static const char end[] = "\r\n\r\n";
    const char *body = memmem(answer, size, end, sizeof(end) - 1);
    cleanup(lxd_reply_fini) struct lxd_reply reply = {0};
    struct lxd_instance instance;

    if (body == NULL || strncmp(answer, "HTTP/1.", 7) != 0)
        return CONTAINER_UNKNOWN;
    body += sizeof(end) - 1;
    if (lxd_reply_parse(&reply, body, size - (size_t)(body - answer), NULL) < 0)
        return CONTAINER_UNKNOWN;
    if (reply.kind == LXD_REPLY_ERROR)
        return reply.error_code == 404 ? CONTAINER_NONE : CONTAINER_UNKNOWN;
    if (reply.kind != LXD_REPLY_SYNC || lxd_instance_parse(&instance, reply.metadata, NULL) < 0 ||
        instance.status[0] == '\0')
        return CONTAINER_UNKNOWN;
    return has_stopped(instance.status) ? CONTAINER_STOPPED : CONTAINER_RUNNING;
}

enum container_state container_state_ask(int fd, const char *name, int64_t deadline)
{
    cleanup_free char *answer = malloc(ANSWER_MAX);
    char request[160];
    size_t used = 0;
    int length;

    if (!lxd_name_is_valid(name))
        return CONTAINER_NONE;
    length = snprintf(request, sizeof(request),
                      "GET /1.0/instances/%s HTTP/1.0\r\nHost: lxd\r\n\r\n", name);
    if (answer == NULL || send(fd, request, (size_t)length, MSG_NOSIGNAL) != length)
        return CONTAINER_UNKNOWN;
    while (used < ANSWER_MAX) {
        ssize_t n;

        if (deadline_poll(fd, POLLIN, deadline) < 0)
            return CONTAINER_UNKNOWN;
        n = recv(fd, answer + used, ANSWER_MAX - used, 0);
        if (n == 0)
            return container_state_parse(answer, used);
        if (n < 0 && errno != EINTR && errno != EAGAIN)
            return CONTAINER_UNKNOWN;
        if (n > 0)
            used += (size_t)n;
    }
    return CONTAINER_UNKNOWN;
}

int container_state_explain(enum container_state state, const char *vm, const char *name,
                            struct crosh_error *err)
{
    const int code = -EHOSTUNREACH;

    switch (state) {
    case CONTAINER_NO_LXD:
        (void)crosh_error_set(err, code, "no LXD answers in VM %s: it has no container %s", vm,
                              name);
        return crosh_error_hint(err,
                                "it is part of the image termina, and takes a while to start; look "
                                "at: vmc logs %s",
                                vm);
    case CONTAINER_NONE:
        (void)crosh_error_set(err, code, "no such container in VM %s: %s", vm, name);
        return crosh_error_hint(err, "see: vmc container list %s", vm);
    case CONTAINER_STOPPED:
        (void)crosh_error_set(err, code, "the container %s of VM %s is stopped", name, vm);
        return crosh_error_hint(err, "start it with \"vmc container start %s %s\"", vm, name);
    case CONTAINER_RUNNING:
        (void)crosh_error_set(err, code, "the container %s of VM %s has no address", name, vm);
        return crosh_error_hint(
            err, "it may still be starting; \"vsh %s %s\" reaches it without one", vm, name);
    case CONTAINER_CUT_OFF:
        (void)crosh_error_set(err, code,
                              "the container %s of VM %s has no address: the bridge of the VM's "
                              "containers is down",
                              name, vm);
        return crosh_error_hint(
            err, "it is there again when the VM is restarted; \"vsh %s %s\" reaches it without one",
            vm, name);
    default:
        return crosh_error_set(err, code, "the LXD of VM %s does not say where container %s is", vm,
                               name);
    }
}

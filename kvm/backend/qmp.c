/* SPDX-License-Identifier: MIT */
/* Implements the QMP client: one JSON object a line, both ways. */
#include "kvm/backend/qmp.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/fd-pass.h"

/* Greeting and events are a few hundred bytes; QEMU is trusted less than that it would matter. */
#define LINE_MAX_BYTES 65536

/* Commands without an answer yet; QEMU answers in order. */
#define PENDING_MAX 64

struct pending {
    qmp_result_fn *fn; /* NULL: nobody asks */
    void *opaque;
};

struct qmp {
    struct event_source *source;
    qmp_event_fn *event;
    void *opaque;
    int fd;
    unsigned int first_pending, pending_count;
    struct pending pending[PENDING_MAX];
    size_t used;
    char line[LINE_MAX_BYTES];
};

/* The oldest command is done. */
static void finish(struct qmp *qmp, json_t *result)
{
    struct pending done;

    if (qmp->pending_count == 0)
        return;
    done = qmp->pending[qmp->first_pending];
    qmp->first_pending = (qmp->first_pending + 1) % PENDING_MAX;
    qmp->pending_count--;
    if (done.fn != NULL)
        done.fn(done.opaque, result);
}

static void handle_line(struct qmp *qmp, const char *line, size_t size)
{
    json_t *message = json_loadb(line, size, 0, NULL);
    const char *event = json_string_value(json_object_get(message, "event"));
    json_t *error = json_object_get(message, "error");

    if (event != NULL) {
        qmp->event(qmp->opaque, event, json_object_get(message, "data"));
    } else if (error != NULL) {
        const char *text = json_string_value(json_object_get(error, "desc"));

        fprintf(stderr, "crosh-vm: QEMU refused a command: %s\n", text != NULL ? text : "?");
        finish(qmp, NULL);
    } else if (json_object_get(message, "return") != NULL) {
        finish(qmp, json_object_get(message, "return"));
    }
    json_decref(message);
}

/* Whether there may be more. */
static bool read_input(struct qmp *qmp)
{
    ssize_t n = recv(qmp->fd, qmp->line + qmp->used, sizeof(qmp->line) - qmp->used, MSG_DONTWAIT);
    char *start = qmp->line, *newline;

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return errno == EINTR;
    if (n <= 0) { /* the process's end says more than its socket's */
        event_modify(qmp->source, 0);
        return false;
    }
    qmp->used += (size_t)n;
    while ((newline = memchr(start, '\n', qmp->used - (size_t)(start - qmp->line))) != NULL) {
        handle_line(qmp, start, (size_t)(newline - start));
        start = newline + 1;
    }
    qmp->used -= (size_t)(start - qmp->line);
    memmove(qmp->line, start, qmp->used);
    if (qmp->used == sizeof(qmp->line))
        event_modify(qmp->source, 0);
    return qmp->used < sizeof(qmp->line);
}

static void on_input(void *opaque, uint32_t events)
{
    (void)events;
    (void)read_input(opaque);
}

void qmp_drain(struct qmp *qmp)
{
    while (read_input(qmp))
        ;
}

struct qmp *qmp_new(struct event_loop *loop, int fd, qmp_event_fn *event, void *opaque)
{
    struct qmp *qmp = calloc(1, sizeof(*qmp));

    if (qmp == NULL) {
        close(fd);
        return NULL;
    }
    qmp->fd = fd;
    qmp->event = event;
    qmp->opaque = opaque;
    qmp->source = event_add(loop, fd, EPOLLIN, on_input, qmp);
    if (qmp->source == NULL) {
        qmp_free(qmp);
        return NULL;
    }
    qmp_execute(qmp, "qmp_capabilities");
    return qmp;
}

void qmp_free(struct qmp *qmp)
{
    if (qmp == NULL)
        return;
    event_remove(qmp->source);
    close(qmp->fd);
    qmp->fd = -1; /* who hears of its end may want to send more */
    while (qmp->pending_count > 0)
        finish(qmp, NULL);
    free(qmp);
}

/* All at once, or not. fd -1: none goes along. */
static bool send_text(int socket_fd, const char *text, size_t size, int fd)
{
    return fd_pass_send(socket_fd, text, size, &fd, fd >= 0, MSG_DONTWAIT) == (ssize_t)size;
}

bool qmp_query_fd(struct qmp *qmp, const char *command, json_t *arguments, int fd,
                  qmp_result_fn *fn, void *opaque)
{
    json_t *message = json_pack("{s:s, s:o*}", "execute", command, "arguments", arguments);
    char *text = message != NULL ? json_dumps(message, JSON_COMPACT) : NULL;
    size_t size = text != NULL ? strlen(text) : 0;
    bool is_sent = false;

    json_decref(message);
    if (text != NULL && qmp->pending_count < PENDING_MAX) {
        text[size++] = '\n'; /* instead of the terminator: it is sent as bytes */
        is_sent = send_text(qmp->fd, text, size, fd);
    }
    free(text);
    if (!is_sent) {
        fprintf(stderr, "crosh-vm: QEMU does not take commands\n");
        return false;
    }
    qmp->pending[(qmp->first_pending + qmp->pending_count++) % PENDING_MAX] =
        (struct pending){.fn = fn, .opaque = opaque};
    return true;
}

bool qmp_query(struct qmp *qmp, const char *command, json_t *arguments, qmp_result_fn *fn,
               void *opaque)
{
    return qmp_query_fd(qmp, command, arguments, -1, fn, opaque);
}

void qmp_execute(struct qmp *qmp, const char *command)
{
    (void)qmp_query(qmp, command, NULL, NULL, NULL);
}

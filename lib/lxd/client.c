/* SPDX-License-Identifier: MIT */
/* Requests to LXD, and waiting for its operations. */
#include "lib/lxd/client.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <curl/curl.h>

#include "lib/base/cleanup.h"
#include "lib/base/deadline.h"
#include "lib/streams/stream-client.h"
#include "lib/wire/frame.h"
#include "lib/wire/ports.h"
#include "lib/wire/streams.pb-c.h"

/* What LXD answers at once may still take a while on a slow machine. */
#define ANSWER_MS 120000
#define RETRY_MS  250
/* How long LXD holds a question for an operation's end: what progress is seen by. */
#define WAIT_SECONDS 1

struct lxd {
    char *vm;
    int answer_ms;
    int interrupt_fd;
    struct http *http;
};

/* A stream to LXD's socket, by way of the agent. */
static int open_stream(void *data, int64_t deadline, struct crosh_error *err)
{
    const struct lxd *lxd = data;
    const struct stream_peer peer = {.vm = lxd->vm, .deadline = deadline};
    Streams__Request request = STREAMS__REQUEST__INIT;
    Streams__Connect connect_to = STREAMS__CONNECT__INIT;
    Streams__Place place = STREAMS__PLACE__INIT;
    struct frame_reader reader;
    cleanup_close int fd = -1;
    const uint8_t *rest;
    int r;

    place.where_case = STREAMS__PLACE__WHERE_PATH;
    place.path.data = (uint8_t *)LXD_SOCKET;
    place.path.len = strlen(LXD_SOCKET);
    connect_to.to = &place;
    request.op_case = STREAMS__REQUEST__OP_CONNECT;
    request.connect = &connect_to;
    fd = stream_open(&peer, &request, err);
    if (fd < 0)
        return fd;
    frame_reader_init(&reader, FRAME_COMPAT_MAX);
    r = stream_await_answer_until(fd, &reader, deadline, NULL, err);
    /* LXD speaks when it is spoken to. */
    if (r == 0 && frame_reader_rest(&reader, &rest) > 0)
        r = crosh_error_set(err, -EBADMSG, "something that is not LXD answers");
    frame_reader_fini(&reader);
    if (r == -EREMOTEIO) {
        (void)crosh_error_wrap(err, "no LXD answers in VM %s", lxd->vm);
        return crosh_error_hint(err,
                                "it is part of the image termina, and takes a while to start; look "
                                "at: vmc logs %s",
                                lxd->vm);
    }
    return r < 0 ? r : move_fd(fd);
}

struct lxd *lxd_new(const char *vm, int answer_ms, int interrupt_fd)
{
    struct lxd *lxd = calloc(1, sizeof(*lxd));

    if (lxd == NULL)
        return NULL;
    lxd->vm = strdup(vm);
    lxd->answer_ms = answer_ms > 0 ? answer_ms : ANSWER_MS;
    lxd->interrupt_fd = interrupt_fd;
    lxd->http = http_new(open_stream, lxd, interrupt_fd);
    if (lxd->vm == NULL || lxd->http == NULL) {
        lxd_close(lxd);
        return NULL;
    }
    return lxd;
}

struct lxd *lxd_open(const char *vm, int wait_ms, int interrupt_fd, struct crosh_error *err)
{
    const int64_t deadline = deadline_in(wait_ms);
    struct lxd *lxd = lxd_new(vm, 0, interrupt_fd);
    int r;

    if (lxd == NULL) {
        (void)crosh_error_set(err, -ENOMEM, "out of memory");
        return NULL;
    }
    for (;;) {
        r = lxd_get(lxd, NULL, err, "/1.0");
        /* Its socket is there before it takes requests. */
        if ((r != -EREMOTEIO && r != -ECONNREFUSED) || deadline_now() >= deadline)
            break;
        if (deadline_poll(interrupt_fd, POLLIN, deadline_in(RETRY_MS)) == 0) {
            r = crosh_error_set(err, -EINTR, "interrupted");
            break;
        }
    }
    if (r < 0) {
        lxd_close(lxd);
        return NULL;
    }
    return lxd;
}

void lxd_close(struct lxd *lxd)
{
    if (lxd == NULL)
        return;
    http_free(lxd->http);
    free(lxd->vm);
    free(lxd);
}

void lxd_ignore_interrupt(struct lxd *lxd)
{
    lxd->interrupt_fd = -1;
    http_ignore_interrupt(lxd->http);
}

const char *lxd_vm(const struct lxd *lxd)
{
    return lxd->vm;
}

char *lxd_escape(const char *text)
{
    char *escaped = curl_easy_escape(NULL, text, 0);
    char *copy = escaped != NULL ? strdup(escaped) : NULL;

    curl_free(escaped);
    return copy;
}

int lxd_perform(struct lxd *lxd, const struct http_request *request, struct lxd_reply *reply,
                struct crosh_error *err)
{
    cleanup(http_answer_fini) struct http_answer answer;
    int r;

    *reply = (struct lxd_reply){.kind = LXD_REPLY_SYNC};
    r = http_perform(lxd->http, request, LXD_REPLY_MAX, &answer, err);
    if (r < 0)
        return crosh_error_wrap(err, "%s", lxd->vm);
    if (request->write != NULL && answer.status < 400)
        return 0;
    r = lxd_reply_parse(reply, answer.body != NULL ? answer.body : "", answer.size, err);
    if (r == 0 && reply->kind == LXD_REPLY_ERROR)
        r = lxd_reply_error(reply, err);
    return r;
}

static int ask(struct lxd *lxd, const char *method, const json_t *body, const char *path,
               struct lxd_reply *reply, struct crosh_error *err)
{
    static const char *const headers[] = {"Content-Type: application/json", NULL};
    cleanup_free char *text = body != NULL ? json_dumps(body, JSON_COMPACT) : NULL;
    struct http_request request = {
        .method = method,
        .path = path,
        .headers = body != NULL ? headers : NULL,
        .text = text,
        .deadline = deadline_in(lxd->answer_ms),
    };

    *reply = (struct lxd_reply){0};
    if (body != NULL && text == NULL)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    return lxd_perform(lxd, &request, reply, err);
}

/* The path of a printf-like function's arguments, into path. */
#define FORMAT_PATH(path, format)                                                                  \
    do {                                                                                           \
        va_list args_;                                                                             \
        va_start(args_, format);                                                                   \
        if (vasprintf(&(path), format, args_) < 0)                                                 \
            (path) = NULL;                                                                         \
        va_end(args_);                                                                             \
    } while (0)

int lxd_get(struct lxd *lxd, json_t **metadata, struct crosh_error *err, const char *path, ...)
{
    cleanup_free char *whole = NULL;
    cleanup(lxd_reply_fini) struct lxd_reply reply = {0};
    int r;

    FORMAT_PATH(whole, path);
    if (whole == NULL)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    r = ask(lxd, "GET", NULL, whole, &reply, err);
    if (r < 0)
        return r;
    if (metadata != NULL) {
        if (reply.metadata == NULL)
            return crosh_error_set(err, -EBADMSG, "LXD gave an answer without anything in it");
        *metadata = move_ptr(reply.metadata);
    }
    return 0;
}

static int send_to(struct lxd *lxd, const char *method, const json_t *body,
                   char id[LXD_OPERATION_ID_SIZE], const char *path, struct crosh_error *err)
{
    cleanup(lxd_reply_fini) struct lxd_reply reply = {0};
    int r;

    id[0] = '\0';
    if (path == NULL)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    r = ask(lxd, method, body, path, &reply, err);
    if (r == 0 && reply.kind == LXD_REPLY_ASYNC)
        (void)strcpy(id, reply.operation);
    return r;
}

int lxd_send(struct lxd *lxd, const char *method, const json_t *body,
             char id[LXD_OPERATION_ID_SIZE], struct crosh_error *err, const char *path, ...)
{
    cleanup_free char *whole = NULL;

    FORMAT_PATH(whole, path);
    return send_to(lxd, method, body, id, whole, err);
}

int lxd_do(struct lxd *lxd, const char *method, const json_t *body, int64_t deadline,
           struct crosh_error *err, const char *path, ...)
{
    char id[LXD_OPERATION_ID_SIZE];
    cleanup_free char *whole = NULL;
    int r;

    FORMAT_PATH(whole, path);
    r = send_to(lxd, method, body, id, whole, err);
    if (r == 0 && id[0] != '\0')
        r = lxd_wait(lxd, id, deadline, NULL, NULL, NULL, err);
    return r;
}

static int end_of(const struct lxd_operation *operation, json_t **metadata, struct crosh_error *err)
{
    if (operation->state == LXD_OPERATION_CANCELLED)
        return crosh_error_set(err, -ECANCELED, "LXD cancelled it");
    if (operation->state == LXD_OPERATION_FAILED)
        return crosh_error_set(err, -EREMOTEIO, "LXD says: %s",
                               operation->error[0] != '\0' ? operation->error
                                                           : "it gave no reason");
    if (metadata != NULL)
        *metadata = json_incref(operation->metadata);
    return 0;
}

int lxd_wait(struct lxd *lxd, const char *id, int64_t deadline, lxd_progress_fn *progress,
             void *data, json_t **metadata, struct crosh_error *err)
{
    cleanup_free char *path = NULL;

    if (asprintf(&path, "/1.0/operations/%s/wait?timeout=%d", id, WAIT_SECONDS) < 0) {
        path = NULL;
        return crosh_error_set(err, -ENOMEM, "out of memory");
    }
    for (;;) {
        cleanup(lxd_reply_fini) struct lxd_reply reply = {0};
        struct lxd_operation operation;
        int r = ask(lxd, "GET", NULL, path, &reply, err);

        if (r == 0)
            r = lxd_operation_parse(&operation, reply.metadata, err);
        if (r < 0)
            return r;
        if (operation.state != LXD_OPERATION_RUNNING)
            return end_of(&operation, metadata, err);
        if (progress != NULL)
            progress(data, &operation);
        if (deadline_now() >= deadline)
            return crosh_error_set(err, -ETIMEDOUT, "LXD is still busy with it");
    }
}

int lxd_find_operation(struct lxd *lxd, const char *instance, char id[LXD_OPERATION_ID_SIZE],
                       struct crosh_error *err)
{
    const char *state;
    json_t *all = NULL, *list;
    int found = 0;
    int r = lxd_get(lxd, &all, err, "/1.0/operations?recursion=1");

    if (r < 0)
        return r;
    json_object_foreach(all, state, list)
    {
        size_t i;
        json_t *item;

        json_array_foreach(list, i, item)
        {
            struct lxd_operation operation;

            if (lxd_operation_parse(&operation, item, NULL) < 0 ||
                operation.state != LXD_OPERATION_RUNNING || !operation.has_begun ||
                !lxd_operation_concerns(&operation, instance))
                continue;
            (void)strcpy(id, operation.id);
            found = 1;
        }
    }
    json_decref(all);
    return found;
}

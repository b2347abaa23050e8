/* SPDX-License-Identifier: MIT */
/* HTTP by libcurl, which is handed streams and never looks a name up. */
#include "lib/lxd/http.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <curl/curl.h>

#include "lib/base/cleanup.h"
#include "lib/base/deadline.h"

/* Nobody looks this up, or connects there. */
#define SERVER  "http://127.0.0.1"
#define POLL_MS 1000

struct http {
    http_open_fn *open;
    void *open_data;
    int interrupt_fd;
    CURL *easy;
    CURLM *multi;
    /* Of a connection that is being made; -1: none. */
    int stream, listener;
    int stand_in; /* libcurl's */
    /* Of the request under way. */
    const struct http_request *request;
    struct http_answer *answer;
    size_t body_max;
    int failure; /* what a callback ended it with */
    struct crosh_error *err;
};

/*
 * libcurl can be told that a socket is connected already, but its versions around 7.88 connect it
 * all the same. So it gets a socket that it connects to a listener of ours, where nobody is
 * ever spoken to; and just before it sends the first request, the stream takes the place
 * of that socket under its number.
 */
static int make_stand_in(struct http *http, struct curl_sockaddr *address)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    socklen_t length = sizeof(name);
    cleanup_close int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cleanup_close int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    /* An address of this length asks the kernel for a name that nobody has. */
    if (listener < 0 || fd < 0 ||
        bind(listener, (struct sockaddr *)&name, sizeof(name.sun_family)) < 0 ||
        listen(listener, 1) < 0 || getsockname(listener, (struct sockaddr *)&name, &length) < 0)
        return crosh_error_errno(http->err, "cannot make a socket");
    address->family = AF_UNIX;
    address->addrlen = length;
    memcpy(&address->addr, &name, length);
    http->listener = move_fd(listener);
    return move_fd(fd);
}

static void drop_stream(struct http *http)
{
    if (http->stream >= 0)
        (void)close(move_fd(http->stream));
    if (http->listener >= 0)
        (void)close(move_fd(http->listener));
}

static curl_socket_t on_open(void *data, curlsocktype purpose, struct curl_sockaddr *address)
{
    struct http *http = data;
    int r;

    (void)purpose;
    drop_stream(http);
    r = http->stream = http->open(http->open_data, http->request->deadline, http->err);
    if (r >= 0)
        r = http->stand_in = make_stand_in(http, address);
    if (r < 0) {
        http->failure = r;
        return CURL_SOCKET_BAD;
    }
    return r;
}

/* The connection is made, and nothing was sent: its socket becomes the stream. */
static int on_connected(void *data, char *peer, char *own, int peer_port, int own_port)
{
    struct http *http = data;

    (void)peer;
    (void)own;
    (void)peer_port;
    (void)own_port;
    if (http->stream < 0)
        return CURL_PREREQFUNC_OK; /* a connection that an earlier request has used */
    if (fcntl(http->stream, F_SETFL, O_NONBLOCK) < 0 ||
        dup3(http->stream, http->stand_in, O_CLOEXEC) < 0) {
        http->failure = crosh_error_errno(http->err, "cannot use the stream");
        return CURL_PREREQFUNC_ABORT;
    }
    drop_stream(http);
    return CURL_PREREQFUNC_OK;
}

static int keep(struct http *http, const char *bytes, size_t size)
{
    struct http_answer *answer = http->answer;
    char *grown;

    if (size > http->body_max - answer->size)
        return crosh_error_set(http->err, -EMSGSIZE, "the answer is too long");
    grown = realloc(answer->body, answer->size + size + 1);
    if (grown == NULL)
        return crosh_error_set(http->err, -ENOMEM, "out of memory");
    memcpy(grown + answer->size, bytes, size);
    answer->body = grown;
    answer->size += size;
    answer->body[answer->size] = '\0';
    return 0;
}

static size_t on_write(char *bytes, size_t one, size_t size, void *data)
{
    struct http *http = data;
    const struct http_request *request = http->request;
    long status = 0;
    int r;

    (void)one;
    (void)curl_easy_getinfo(http->easy, CURLINFO_RESPONSE_CODE, &status);
    r = request->write != NULL && status < 400 ? request->write(request->data, bytes, size)
                                               : keep(http, bytes, size);
    if (r < 0)
        http->failure = r;
    return r < 0 ? 0 : size;
}

static size_t on_read(char *buffer, size_t one, size_t size, void *data)
{
    struct http *http = data;
    ssize_t n = http->request->read(http->request->data, buffer, one * size);

    if (n < 0) {
        http->failure = (int)n;
        return CURL_READFUNC_ABORT;
    }
    return (size_t)n;
}

static int on_progress(void *data, curl_off_t down_total, curl_off_t down, curl_off_t up_total,
                       curl_off_t up)
{
    struct http *http = data;

    (void)down_total;
    (void)up_total;
    http->request->progress(http->request->data, (uint64_t)up, (uint64_t)down);
    return 0;
}

struct http *http_new(http_open_fn *open, void *data, int interrupt_fd)
{
    struct http *http = calloc(1, sizeof(*http));

    if (http == NULL)
        return NULL;
    *http = (struct http){.open = open,
                          .open_data = data,
                          .interrupt_fd = interrupt_fd,
                          .stream = -1,
                          .listener = -1};
    http->easy = curl_easy_init();
    http->multi = curl_multi_init();
    if (http->easy == NULL || http->multi == NULL) {
        http_free(http);
        return NULL;
    }
    return http;
}

void http_free(struct http *http)
{
    if (http == NULL)
        return;
    curl_easy_cleanup(http->easy);
    (void)curl_multi_cleanup(http->multi);
    drop_stream(http);
    free(http);
}

void http_ignore_interrupt(struct http *http)
{
    http->interrupt_fd = -1;
}

/* What holds for every request. The easy handle keeps its connection over a reset. */
static bool set_common(struct http *http, const char *url)
{
    CURL *easy = http->easy;

    curl_easy_reset(easy);
    return curl_easy_setopt(easy, CURLOPT_URL, url) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http") == CURLE_OK &&
           /* The environment's proxies are for others. */
           curl_easy_setopt(easy, CURLOPT_PROXY, "") == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, on_open) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, http) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, on_connected) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_PREREQDATA, http) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_write) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_WRITEDATA, http) == CURLE_OK;
}

static bool set_body(struct http *http, const struct http_request *request)
{
    CURL *easy = http->easy;

    if (request->text != NULL &&
        (curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE, (long)strlen(request->text)) != CURLE_OK ||
         curl_easy_setopt(easy, CURLOPT_POSTFIELDS, request->text) != CURLE_OK))
        return false;
    if (request->read != NULL &&
        (curl_easy_setopt(easy, CURLOPT_POST, 1L) != CURLE_OK ||
         curl_easy_setopt(easy, CURLOPT_READFUNCTION, on_read) != CURLE_OK ||
         curl_easy_setopt(easy, CURLOPT_READDATA, http) != CURLE_OK))
        return false;
    if (request->progress != NULL &&
        (curl_easy_setopt(easy, CURLOPT_NOPROGRESS, 0L) != CURLE_OK ||
         curl_easy_setopt(easy, CURLOPT_XFERINFOFUNCTION, on_progress) != CURLE_OK ||
         curl_easy_setopt(easy, CURLOPT_XFERINFODATA, http) != CURLE_OK))
        return false;
    return curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request->method) == CURLE_OK;
}

static size_t read_part(char *buffer, size_t one, size_t size, void *data)
{
    const struct http_part *part = data;
    ssize_t n;

    do {
        n = read(part->fd, buffer, one * size);
    } while (n < 0 && errno == EINTR);
    return n < 0 ? CURL_READFUNC_ABORT : (size_t)n;
}

static int seek_part(void *data, curl_off_t offset, int origin)
{
    const struct http_part *part = data;

    return lseek(part->fd, offset, origin) < 0 ? CURL_SEEKFUNC_FAIL : CURL_SEEKFUNC_OK;
}

static bool add_part(curl_mime *mime, const struct http_part *part)
{
    curl_mimepart *made = curl_mime_addpart(mime);
    struct stat st;

    return made != NULL && fstat(part->fd, &st) == 0 && lseek(part->fd, 0, SEEK_SET) == 0 &&
           curl_mime_name(made, part->name) == CURLE_OK &&
           curl_mime_filename(made, part->filename) == CURLE_OK &&
           curl_mime_type(made, "application/octet-stream") == CURLE_OK &&
           curl_mime_data_cb(made, st.st_size, read_part, seek_part, NULL, (void *)part) ==
               CURLE_OK;
}

static bool set_form(struct http *http, const struct http_request *request, curl_mime **mime)
{
    if (request->part_count == 0)
        return true;
    *mime = curl_mime_init(http->easy);
    for (size_t i = 0; *mime != NULL && i < request->part_count; i++) {
        if (!add_part(*mime, &request->parts[i]))
            return false;
    }
    return *mime != NULL && curl_easy_setopt(http->easy, CURLOPT_MIMEPOST, *mime) == CURLE_OK;
}

static bool set_headers(struct http *http, const struct http_request *request,
                        struct curl_slist **list)
{
    /* LXD answers at once; waiting for its "100 Continue" would only cost a second. */
    struct curl_slist *grown = curl_slist_append(NULL, "Expect:");

    *list = grown;
    for (size_t i = 0; grown != NULL && request->headers != NULL && request->headers[i] != NULL;
         i++) {
        grown = curl_slist_append(*list, request->headers[i]);
        if (grown != NULL)
            *list = grown;
    }
    return grown != NULL && curl_easy_setopt(http->easy, CURLOPT_HTTPHEADER, *list) == CURLE_OK;
}

static int poll_ms(int64_t deadline)
{
    int64_t left = deadline == DEADLINE_NEVER ? POLL_MS : deadline - deadline_now();

    return left > POLL_MS ? POLL_MS : left < 0 ? 0 : (int)left;
}

/* Lets curl work until the request is over. 0 with *result, or negative. */
static int run(struct http *http, int64_t deadline, CURLcode *result)
{
    for (;;) {
        struct curl_waitfd interrupt = {.fd = http->interrupt_fd, .events = CURL_WAIT_POLLIN};
        int left = 0, running = 0;
        const CURLMsg *message;

        if (curl_multi_perform(http->multi, &running) != CURLM_OK)
            return crosh_error_set(http->err, -ENOMEM, "out of memory");
        message = curl_multi_info_read(http->multi, &left);
        if (message != NULL && message->msg == CURLMSG_DONE) {
            *result = message->data.result;
            return 0;
        }
        if (deadline_now() >= deadline)
            return crosh_error_set(http->err, -ETIMEDOUT, "LXD does not answer in time");
        (void)curl_multi_poll(http->multi, &interrupt, http->interrupt_fd >= 0, poll_ms(deadline),
                              NULL);
        if (interrupt.revents != 0)
            return crosh_error_set(http->err, -EINTR, "interrupted");
    }
}

static int judge(struct http *http, CURLcode result)
{
    if (http->failure < 0) {
        if (http->err != NULL && http->err->code == 0)
            (void)crosh_error_set(http->err, http->failure, "%s", strerror(-http->failure));
        return http->failure;
    }
    if (result == CURLE_OK)
        return 0;
    if (result == CURLE_OUT_OF_MEMORY)
        return crosh_error_set(http->err, -ENOMEM, "out of memory");
    return crosh_error_set(http->err, CROSH_ELOST, "the connection to LXD broke: %s",
                           curl_easy_strerror(result));
}

int http_perform(struct http *http, const struct http_request *request, size_t body_max,
                 struct http_answer *answer, struct crosh_error *err)
{
    cleanup_free char *url = NULL;
    struct curl_slist *headers = NULL;
    struct crosh_error own = {0};
    curl_mime *mime = NULL;
    CURLcode result = CURLE_OK;
    int r;

    *answer = (struct http_answer){0};
    if (err == NULL)
        err = &own;
    *err = (struct crosh_error){0};
    http->request = request;
    http->answer = answer;
    http->body_max = body_max;
    http->failure = 0;
    http->err = err;
    if (asprintf(&url, SERVER "%s", request->path) < 0)
        url = NULL;
    if (url == NULL || !set_common(http, url) || !set_headers(http, request, &headers) ||
        !set_form(http, request, &mime) || !set_body(http, request) ||
        curl_multi_add_handle(http->multi, http->easy) != CURLM_OK)
        r = crosh_error_set(err, -ENOMEM, "the request cannot be made");
    else {
        r = run(http, request->deadline, &result);
        if (r == 0)
            r = judge(http, result);
        (void)curl_easy_getinfo(http->easy, CURLINFO_RESPONSE_CODE, &answer->status);
        (void)curl_multi_remove_handle(http->multi, http->easy);
    }
    curl_easy_reset(http->easy);
    curl_mime_free(mime);
    curl_slist_free_all(headers);
    return r;
}

void http_answer_fini(struct http_answer *answer)
{
    free(answer->body);
    *answer = (struct http_answer){0};
}

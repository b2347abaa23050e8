/* SPDX-License-Identifier: MIT */
/* HTTP over streams that somebody else opens: requests with bodies, answers with bounds. */
#ifndef CROSH_LXD_HTTP_H
#define CROSH_LXD_HTTP_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <crosh/error.h>

struct http;

/* Opens a connected, blocking or non-blocking stream socket to the server before the deadline. It,
   or negative. */
typedef int http_open_fn(void *data, int64_t deadline, struct crosh_error *err);

/*
 * A client of one server, for one thread. Requests go over one connection after the other, and
 * a connection is opened when it is needed. A readable interrupt_fd (-1: none) ends a
 * request with -EINTR. NULL after out of memory.
 */
struct http *http_new(http_open_fn *open, void *data, int interrupt_fd);
void http_free(struct http *http);
/* Forgets interrupt_fd. */
void http_ignore_interrupt(struct http *http);

/* A body that is read as it is sent: fills at most size bytes; 0 at the end, or negative. */
typedef ssize_t http_read_fn(void *data, char *buffer, size_t size);
/* The answer's body as it comes; 0, or negative to end the request with that code. */
typedef int http_write_fn(void *data, const char *bytes, size_t size);
/* Told now and then how many bytes of bodies have gone up and come down. */
typedef void http_progress_fn(void *data, uint64_t up, uint64_t down);

/* A file of a form; name and filename are sent as they are. */
struct http_part {
    const char *name;
    const char *filename;
    int fd; /* a regular file, read from its start */
};

struct http_request {
    const char *method;
    const char *path;              /* begins with '/', escaped already */
    const char *const *headers;    /* "Name: value", NULL-terminated; NULL: none */
    const char *text;              /* the body; NULL: none, or one of those that follow */
    http_read_fn *read;            /* a body whose length is not known; NULL: none */
    const struct http_part *parts; /* a form (multipart/form-data) of part_count files */
    size_t part_count;
    http_write_fn *write; /* takes the body of an answer whose status is below 400; NULL: kept */
    http_progress_fn *progress;
    void *data; /* for read, write and progress */
    int64_t deadline;
};

struct http_answer {
    long status;
    char *body; /* owned; ended by NUL; what was not given to write() */
    size_t size;
};

/*
 * Sends a request and takes the whole answer, of which at most body_max bytes are kept. 0;
 * -ETIMEDOUT at the deadline, -EINTR, -EMSGSIZE for an answer that is too long, what open(),
 * read() or write() gave, CROSH_ELOST when the connection broke. The answer is to be
 * released in any case.
 */
int http_perform(struct http *http, const struct http_request *request, size_t body_max,
                 struct http_answer *answer, struct crosh_error *err);
void http_answer_fini(struct http_answer *answer);

#endif

/* SPDX-License-Identifier: MIT */
/* Collects notices, and watches the descriptors of those who may have something to tell. */
#include "crosh/notices.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/command/text.h"

/* A source that always has more must not keep the prompt from coming. */
#define ROUNDS_MAX 64
/* Nobody reads more than this at once. */
#define TEXT_SIZE_MAX 65536

struct watch {
    int fd; /* -1: free */
    void (*ready)(void *data);
    void *data;
};

struct notices {
    int epoll_fd;
    struct watch *watches;
    size_t watch_count;
    char *text;
};

struct notices *notices_new(void)
{
    struct notices *notices = calloc(1, sizeof(*notices));

    if (notices == NULL)
        return NULL;
    notices->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (notices->epoll_fd < 0) {
        free(notices);
        return NULL;
    }
    return notices;
}

void notices_free(struct notices *notices)
{
    if (notices == NULL)
        return;
    (void)close(notices->epoll_fd);
    free(notices->watches);
    free(notices->text);
    free(notices);
}

void notices_post(struct notices *notices, const char *fmt, ...)
{
    cleanup_free char *line = NULL;
    cleanup_free char *old = NULL;
    size_t size = 0;
    FILE *out;
    va_list ap;
    int r;

    if (notices == NULL)
        return;
    va_start(ap, fmt);
    r = vasprintf(&line, fmt, ap);
    va_end(ap);
    if (r < 0) {
        line = NULL;
        return;
    }
    if (notices->text != NULL && strlen(notices->text) > TEXT_SIZE_MAX)
        return;
    old = move_ptr(notices->text);
    out = open_memstream(&notices->text, &size);
    if (out == NULL)
        return;
    if (old != NULL)
        (void)fputs(old, out);
    /* What was typed or what a file says is not for the terminal as it stands. */
    crosh_priv_text_print(out, line);
    (void)fputc('\n', out);
    if (fclose(out) != 0)
        free(move_ptr(notices->text));
}

/* A place in the table; places stay where they are, the kernel hands back their numbers. */
static struct watch *free_place(struct notices *notices)
{
    struct watch *grown;

    for (size_t i = 0; i < notices->watch_count; i++) {
        if (notices->watches[i].fd < 0)
            return &notices->watches[i];
    }
    grown = reallocarray(notices->watches, notices->watch_count + 1, sizeof(*grown));
    if (grown == NULL)
        return NULL;
    notices->watches = grown;
    grown[notices->watch_count].fd = -1;
    return &grown[notices->watch_count++];
}

int notices_watch(struct notices *notices, int fd, void (*ready)(void *data), void *data)
{
    struct epoll_event event = {.events = EPOLLIN};
    struct watch *watch;

    if (notices == NULL)
        return 0;
    watch = free_place(notices);
    if (watch == NULL)
        return -ENOMEM;
    event.data.u64 = (uint64_t)(watch - notices->watches);
    if (epoll_ctl(notices->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
        return -errno;
    *watch = (struct watch){.fd = fd, .ready = ready, .data = data};
    return 0;
}

void notices_unwatch(struct notices *notices, int fd)
{
    if (notices == NULL)
        return;
    for (size_t i = 0; i < notices->watch_count; i++) {
        if (notices->watches[i].fd == fd) {
            (void)epoll_ctl(notices->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
            notices->watches[i].fd = -1;
        }
    }
}

int notices_fd(const struct notices *notices)
{
    return notices != NULL ? notices->epoll_fd : -1;
}

char *notices_take(struct notices *notices)
{
    if (notices == NULL)
        return NULL;
    for (int round = 0; round < ROUNDS_MAX; round++) {
        struct epoll_event event;

        /* One at a time: the call may remove other watches. */
        if (epoll_wait(notices->epoll_fd, &event, 1, 0) <= 0)
            break;
        if (event.data.u64 < notices->watch_count && notices->watches[event.data.u64].fd >= 0) {
            const struct watch *watch = &notices->watches[event.data.u64];

            watch->ready(watch->data);
        }
    }
    return move_ptr(notices->text);
}

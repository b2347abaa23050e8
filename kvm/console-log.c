/* SPDX-License-Identifier: MIT */
/* Implements the console's log and socket. */
#include "kvm/console-log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/base/unix-socket.h"

#define LOG_MAX         (4u * 1024u * 1024u)
#define CLIENTS_MAX     8
#define ACCEPT_PAUSE_MS 100

struct console_client {
    struct console_log *console;
    struct event_source *source;
    int fd;
};

struct console_log {
    struct event_loop *loop;
    struct event_source *listener;
    struct event_source *resume; /* listens again after descriptors ran out */
    console_input_fn *input;
    void *opaque;
    char *log_path, *old_path, *socket_path;
    size_t log_size;
    int log_fd;
    int listen_fd;
    struct console_client client[CLIENTS_MAX]; /* fd < 0: free */
};

static int log_open(struct console_log *console, struct crosh_error *err)
{
    (void)rename(console->log_path, console->old_path);
    console->log_size = 0;
    console->log_fd = open(console->log_path,
                           O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
    return console->log_fd < 0 ? crosh_error_errno(err, "%s", console->log_path) : 0;
}

static void client_drop(struct console_client *client)
{
    event_remove(client->source);
    close(client->fd);
    client->source = NULL;
    client->fd = -1;
}

static void on_client(void *opaque, uint32_t events)
{
    struct console_client *client = opaque;
    char buf[4096];
    ssize_t n = recv(client->fd, buf, sizeof(buf), MSG_DONTWAIT);

    (void)events;
    if (n > 0)
        client->console->input(client->console->opaque, buf, (size_t)n);
    else if (n == 0 || (errno != EAGAIN && errno != EINTR))
        client_drop(client);
}

int console_log_adopt(struct console_log *console, int fd, struct crosh_error *err)
{
    if (fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) < 0) {
        (void)close(fd);
        return crosh_error_errno(err, "console");
    }
    for (unsigned int i = 0; i < CLIENTS_MAX; i++) {
        struct console_client *client = &console->client[i];

        if (client->fd >= 0)
            continue;
        client->source = event_add(console->loop, fd, EPOLLIN, on_client, client);
        if (client->source == NULL)
            break;
        client->fd = fd;
        return 0;
    }
    (void)close(fd);
    return crosh_error_set(err, -EBUSY, "too many use the console already");
}

static void on_connect(void *opaque, uint32_t events)
{
    struct console_log *console = opaque;
    int fd = accept4(console->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    (void)events;
    if (fd < 0) {
        /* The connection stays pending and the socket readable: pause instead of spinning. */
        if (errno == EMFILE || errno == ENFILE) {
            event_modify(console->listener, 0);
            event_timer_set(console->resume, ACCEPT_PAUSE_MS);
        }
        return;
    }
    (void)console_log_adopt(console, fd, NULL);
}

static void on_resume(void *opaque)
{
    struct console_log *console = opaque;

    event_modify(console->listener, EPOLLIN);
}

struct console_log *console_log_new(struct event_loop *loop, const char *dir,
                                    console_input_fn *input, void *opaque, struct crosh_error *err)
{
    struct console_log *console = calloc(1, sizeof(*console));

    if (console == NULL) {
        crosh_error_errno(err, "console");
        return NULL;
    }
    console->loop = loop;
    console->input = input;
    console->opaque = opaque;
    console->log_fd = console->listen_fd = -1;
    for (unsigned int i = 0; i < CLIENTS_MAX; i++)
        console->client[i] = (struct console_client){.console = console, .fd = -1};
    if (asprintf(&console->log_path, "%s/console.log", dir) < 0 ||
        asprintf(&console->old_path, "%s/console.log.old", dir) < 0 ||
        asprintf(&console->socket_path, "%s/console.sock", dir) < 0) {
        crosh_error_set(err, -ENOMEM, "console: out of memory");
        goto fail;
    }
    if (log_open(console, err) < 0)
        goto fail;
    console->listen_fd = unix_listen(console->socket_path, err);
    if (console->listen_fd < 0)
        goto fail;
    console->listener = event_add(loop, console->listen_fd, EPOLLIN, on_connect, console);
    console->resume = event_timer_add(loop, on_resume, console);
    if (console->listener == NULL || console->resume == NULL) {
        crosh_error_errno(err, "console");
        goto fail;
    }
    return console;
fail:
    console_log_free(console);
    return NULL;
}

void console_log_free(struct console_log *console)
{
    if (console == NULL)
        return;
    for (unsigned int i = 0; i < CLIENTS_MAX; i++) {
        if (console->client[i].fd >= 0)
            client_drop(&console->client[i]);
    }
    event_remove(console->listener);
    event_remove(console->resume);
    if (console->listen_fd >= 0) {
        close(console->listen_fd);
        (void)unlink(console->socket_path);
    }
    if (console->log_fd >= 0)
        close(console->log_fd);
    free(console->log_path);
    free(console->old_path);
    free(console->socket_path);
    free(console);
}

static void log_append(struct console_log *console, const char *data, size_t size)
{
    if (console->log_size + size > LOG_MAX && console->log_fd >= 0) {
        close(console->log_fd);
        (void)log_open(console, NULL);
    }
    while (size > 0 && console->log_fd >= 0) {
        ssize_t n = write(console->log_fd, data, size);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return; /* a full disk costs log lines, never the guest */
        data += n;
        size -= (size_t)n;
        console->log_size += (size_t)n;
    }
}

void console_log_write(struct console_log *console, const void *data, size_t size)
{
    log_append(console, data, size);
    for (unsigned int i = 0; i < CLIENTS_MAX; i++) {
        if (console->client[i].fd >= 0)
            (void)send(console->client[i].fd, data, size, MSG_NOSIGNAL | MSG_DONTWAIT);
    }
}

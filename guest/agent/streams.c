/* SPDX-License-Identifier: MIT */
/*
 * The stream service: one process and one poll loop for all streams. Each begins as a
 * request; it then becomes one end of a relay, or the way by which the host is told of
 * those who connect to a listening socket, or of the guest's ports. Those who connect are
 * kept, not answered, until the host opens another stream to accept them: the guest can
 * open nothing towards the host. All sockets are non-blocking and every buffer is
 * bounded, so a slow end stops its own stream only.
 */
#include "guest/agent/streams.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guest/agent/address.h"
#include "guest/agent/stream.h"
#include "lib/base/cleanup.h"
#include "lib/base/deadline.h"

static void accept_stream(struct stream_service *service)
{
    int fd = accept4(service->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    struct stream *stream;

    if (fd < 0)
        return;
    if (!address_is_trusted_peer(fd) || service->count == STREAMS_MAX) {
        (void)close(fd);
        return;
    }
    stream = stream_new(fd);
    if (stream != NULL)
        service->streams[service->count++] = stream;
}

static void take_signal(struct stream_service *service)
{
    struct signalfd_siginfo info;

    if (read(service->signals, &info, sizeof(info)) != (ssize_t)sizeof(info))
        return;
    if (info.ssi_signo == SIGUSR1)
        service->is_retiring = true;
    else if (info.ssi_signo != SIGCHLD)
        service->is_ending = true;
    while (waitpid(-1, NULL, WNOHANG) > 0)
        ;
}

/* Ends what has waited for too long. How long until the next such moment, in ms, or -1. */
static int take_time(struct stream_service *service)
{
    int64_t now = deadline_now();
    int64_t next = DEADLINE_NEVER;

    for (size_t i = service->pending_count; i > 0; i--) {
        if (service->pending[i - 1].deadline <= now)
            stream_drop_pending(service, i - 1, true);
        else if (service->pending[i - 1].deadline < next)
            next = service->pending[i - 1].deadline;
    }
    for (size_t i = 0; i < service->count; i++) {
        if (service->streams[i]->deadline <= now)
            stream_expire(service->streams[i]);
    }
    for (size_t i = service->count; i > 0; i--) {
        struct stream *stream = service->streams[i - 1];

        if (stream->is_over) {
            service->streams[i - 1] = service->streams[--service->count];
            stream_free(service, stream);
        } else if (stream->deadline < next) {
            next = stream->deadline;
        }
    }
    if (next == DEADLINE_NEVER)
        return -1;
    return next > now ? (int)(next - now) : 0;
}

/* Whether there are streams that later ones may refer to. */
static bool is_referred_to(const struct stream_service *service)
{
    for (size_t i = 0; i < service->count; i++) {
        enum stream_kind kind = service->streams[i]->kind;

        /* Requests, and what is done in a container, may come to it yet. */
        if (kind == STREAM_LISTEN || kind == STREAM_REQUEST || kind == STREAM_INSIDE)
            return true;
    }
    return false;
}

/*
 * Leaves the place to another service, which our end tells of: a child of ours serves the
 * streams that there are until the last has ended. Who has connected to a place that we
 * listen at can be accepted here only, so this waits until there is no such place.
 */
static void retire(struct stream_service *service)
{
    pid_t pid;

    if (!service->is_retiring || service->listener < 0 || is_referred_to(service))
        return;
    pid = service->count > 0 ? fork() : 1;
    if (pid > 0)
        _exit(0);
    if (pid == 0)
        (void)close(move_fd(service->listener));
}

bool stream_service_turn(struct stream_service *service, int timeout_ms)
{
    struct pollfd *polls = service->polls;
    int timeout = take_time(service);
    size_t count = service->count;
    size_t used = 2;

    if (service->is_ending || (count == 0 && service->listener < 0))
        return false;
    if (timeout < 0 || (timeout_ms >= 0 && timeout_ms < timeout))
        timeout = timeout_ms;
    polls[0] = (struct pollfd){.fd = service->signals, .events = POLLIN};
    polls[1] = (struct pollfd){.fd = service->listener, .events = POLLIN};
    for (size_t i = 0; i < count; i++)
        used += stream_prepare(service, service->streams[i], polls + used);
    if (poll(polls, used, timeout) < 0)
        return true;
    if (polls[0].revents != 0)
        take_signal(service);
    used = 2;
    for (size_t i = 0; i < count; i++) {
        size_t size = service->streams[i]->kind == STREAM_RELAY ? 4 : 2;

        stream_handle(service, service->streams[i], polls + used);
        used += size;
    }
    if (polls[1].revents != 0)
        accept_stream(service);
    retire(service);
    return true;
}

struct stream_service *stream_service_new(int listener)
{
    struct stream_service *service = calloc(1, sizeof(*service));
    struct pollfd *polls = calloc(2 + 4 * STREAMS_MAX, sizeof(*polls));

    if (service == NULL || polls == NULL) {
        free(service);
        free(polls);
        (void)close(listener);
        return NULL;
    }
    service->listener = listener;
    service->signals = -1;
    service->polls = polls;
    return service;
}

void stream_service_free(struct stream_service *service)
{
    if (service->listener >= 0)
        (void)close(service->listener);
    while (service->count > 0)
        stream_free(service, service->streams[--service->count]);
    if (service->signals >= 0)
        (void)close(service->signals);
    free(service->polls);
    free(service);
}

int streams_run(int listener)
{
    struct stream_service *service = stream_service_new(listener);
    sigset_t mask;
    int r = 0;

    if (service == NULL)
        return -ENOMEM;
    (void)signal(SIGPIPE, SIG_IGN);
    (void)sigemptyset(&mask);
    (void)sigaddset(&mask, SIGCHLD);
    (void)sigaddset(&mask, SIGTERM);
    (void)sigaddset(&mask, SIGINT);
    (void)sigaddset(&mask, SIGUSR1);
    (void)sigprocmask(SIG_SETMASK, &mask, NULL);
    service->signals = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
    if (service->signals < 0)
        r = -errno;
    while (r == 0 && stream_service_turn(service, -1))
        ;
    stream_service_free(service);
    return r;
}

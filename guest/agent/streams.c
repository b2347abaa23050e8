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
#include "lib/base/descriptors.h"

/* Pause after nobody could be accepted, instead of spinning. */
#define ACCEPT_PAUSE_MS 100
/* What a stream costs: its two ends, two pipes. There are a few others beside them. */
#define STREAM_DESCRIPTORS 6u
#define OTHER_DESCRIPTORS  (16u + PENDING_MAX)
#define DESCRIPTORS        (STREAM_DESCRIPTORS * STREAMS_MAX + OTHER_DESCRIPTORS)

int stream_service_accept(struct stream_service *service, int listener)
{
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)) {
        service->is_short = true;
        service->accept_after = deadline_in(ACCEPT_PAUSE_MS);
    }
    return fd;
}

static void accept_stream(struct stream_service *service)
{
    int fd = stream_service_accept(service, service->listener);
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

    service->is_short = service->accept_after > now;
    if (service->is_short)
        next = service->accept_after;
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
    /* At the very end who comes is told so by a closed stream. */
    bool is_enough = count >= service->enough && count < STREAMS_MAX;
    size_t used = 2;

    if (service->is_ending || (count == 0 && service->listener < 0))
        return false;
    if (timeout < 0 || (timeout_ms >= 0 && timeout_ms < timeout))
        timeout = timeout_ms;
    polls[0] = (struct pollfd){.fd = service->signals, .events = POLLIN};
    polls[1] = (struct pollfd){.fd = service->is_short || is_enough ? -1 : service->listener,
                               .events = POLLIN};
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
    service->enough = STREAMS_MAX;
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

/* How many streams there may be: poll(2) takes no more entries than descriptors, either. */
static size_t enough_streams(void)
{
    size_t descriptors = descriptors_allow(DESCRIPTORS);
    size_t streams = descriptors > OTHER_DESCRIPTORS
                         ? (descriptors - OTHER_DESCRIPTORS) / STREAM_DESCRIPTORS
                         : 1;

    return streams < STREAMS_MAX ? streams : STREAMS_MAX;
}

int streams_run(int listener)
{
    struct stream_service *service = stream_service_new(listener);
    sigset_t mask;
    int r = 0;

    if (service == NULL)
        return -ENOMEM;
    service->enough = enough_streams();
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

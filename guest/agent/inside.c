/* SPDX-License-Identifier: MIT */
/* A process for each socket that leads into a container. */
#include "guest/agent/inside.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "guest/agent/places.h"
#include "guest/agent/target.h"
#include "guest/agent/users.h"
#include "lib/base/cleanup.h"
#include "lib/base/deadline.h"
#include "lib/base/fd-pass.h"
#include "lib/wire/ports.h"

#define CONNECT_TIMEOUT_MS 30000
#define LOOKUP_MAX         4096u
#define PLACE_MAX          1024u

/* What the process tells, in one message with the socket beside it. */
struct report {
    struct crosh_error err;
    size_t place_size;
    uint8_t place[PLACE_MAX];
};

bool inside_is_wanted(const Streams__Request *request)
{
    return *request->target != '\0' && strcmp(request->target, VSH_TARGET_VM) != 0;
}

/* Reads the whole output of a lookup. */
static int look_up(struct place *place, const Streams__Tcp *tcp, struct crosh_error *err)
{
    const int64_t deadline = deadline_in(CONNECT_TIMEOUT_MS);
    cleanup_close int fd = place_lookup(tcp->host, err);
    char text[LOOKUP_MAX];
    size_t used = 0;
    ssize_t n = 1;

    if (fd < 0)
        return fd;
    while (n != 0 && used < sizeof(text) - 1) {
        if (deadline_poll(fd, POLLIN, deadline) < 0)
            return crosh_error_set(err, -ETIMEDOUT, "%s: no name server answers", tcp->host);
        n = read(fd, text + used, sizeof(text) - 1 - used);
        if (n < 0 && errno != EAGAIN && errno != EINTR)
            return crosh_error_errno(err, "%s", tcp->host);
        used += n > 0 ? (size_t)n : 0;
    }
    text[used] = '\0';
    return place_lookup_end(place, text, used, tcp->port, err);
}

/* One address: the connected socket, or negative errno. */
static int connect_to(const struct place *place, size_t index)
{
    cleanup_close int fd = place_connect(place, index);
    socklen_t size = sizeof(int);
    int error = 0;
    int r;

    if (fd < 0)
        return fd;
    r = deadline_poll(fd, POLLOUT, deadline_in(CONNECT_TIMEOUT_MS));
    if (r < 0)
        return r;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
        return -errno;
    return error != 0 ? -error : move_fd(fd);
}

static int make_connection(const Streams__Connect *request, struct crosh_error *err)
{
    struct place place = {0};
    int r = place_find(&place, request->to, err);

    if (r == -EINPROGRESS)
        r = look_up(&place, request->to->tcp, err);
    if (r < 0)
        return r;
    r = -EHOSTUNREACH;
    for (size_t i = 0; i < place.count; i++) {
        r = connect_to(&place, i);
        if (r >= 0)
            return r;
    }
    return crosh_error_set(err, r, "cannot connect: %s", strerror(-r));
}

static int make_listener(const Streams__Listen *request, const struct user *user,
                         struct report *report)
{
    Streams__Place *at = NULL;
    int fd = place_listen(request->at, user->uid, user->gid, &at, &report->err);

    if (fd < 0)
        return fd;
    report->place_size = streams__place__get_packed_size(at);
    if (report->place_size > sizeof(report->place)) {
        (void)close(fd);
        return crosh_error_set(&report->err, -ENAMETOOLONG, "the place's name is too long");
    }
    (void)streams__place__pack(at, report->place);
    streams__place__free_unpacked(at, NULL);
    return fd;
}

/* Within the new process: the socket, or negative with the reason in the report. */
static int make(const Streams__Request *request, struct report *report)
{
    struct crosh_error *err = &report->err;
    bool is_named = request->op_case == STREAMS__REQUEST__OP_LISTEN &&
                    request->listen->at != NULL &&
                    request->listen->at->where_case == STREAMS__PLACE__WHERE_NAME;
    struct target target;
    struct user user;
    int r = target_open(&target, request->target, err);

    if (r == 0 && request->op_case == STREAMS__REQUEST__OP_WATCH)
        return target_network(&target, err);
    if (r == 0)
        r = target_enter(&target, err);
    if (r == 0)
        r = user_lookup(&user, request->user, USERS_PASSWD_FILE, USERS_GROUP_FILE, err);
    /* The directory of named places is root's. */
    if (r == 0 && !is_named)
        r = user_become(&user, err);
    if (r < 0)
        return r;
    if (request->op_case == STREAMS__REQUEST__OP_CONNECT)
        return make_connection(request->connect, err);
    if (request->op_case == STREAMS__REQUEST__OP_LISTEN)
        return make_listener(request->listen, &user, report);
    return crosh_error_set(err, -ENOSYS, "an unknown request");
}

static void tell(int to, const struct report *report, int fd)
{
    (void)fd_pass_send(to, report, sizeof(*report), &fd, fd >= 0, 0);
}

static _Noreturn void run(const Streams__Request *request, int to)
{
    struct report report = {0};
    sigset_t none;
    int fd;

    /* Streams of others are none of its business, and would not end when they should. */
    if (dup2(to, 3) < 0 || close_range(4, ~0U, 0) < 0)
        _exit(1);
    (void)fcntl(3, F_SETFD, FD_CLOEXEC);
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
    fd = make(request, &report);
    tell(3, &report, fd);
    _exit(0);
}

int inside_begin(const Streams__Request *request, struct crosh_error *err)
{
    int ends[2];
    pid_t pid;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
        return crosh_error_errno(err, "cannot make a socket");
    pid = fork();
    if (pid == 0)
        run(request, ends[1]);
    (void)close(ends[1]);
    if (pid < 0 || fcntl(ends[0], F_SETFL, O_NONBLOCK) < 0) {
        (void)crosh_error_errno(err, "cannot start a process");
        (void)close(ends[0]);
        return err->code;
    }
    return ends[0];
}

int inside_take(int fd, Streams__Place **at, struct crosh_error *err)
{
    struct report report;
    cleanup_close int made = -1;
    size_t count = 0;

    *at = NULL;
    /* What comes is our own process's word. */
    if (fd_pass_receive(fd, &report, sizeof(report), &made, 1, &count, 0) !=
        (ssize_t)sizeof(report))
        return crosh_error_set(err, -EIO, "the container could not be entered");
    if (made < 0 || report.err.code < 0) {
        *err = report.err;
        return err->code < 0 ? err->code
                             : crosh_error_set(err, -EIO, "the container could not be entered");
    }
    if (report.place_size > 0) {
        *at = streams__place__unpack(NULL, report.place_size, report.place);
        if (*at == NULL)
            return crosh_error_set(err, -ENOMEM, "out of memory");
    }
    return move_fd(made);
}

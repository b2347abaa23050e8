/* SPDX-License-Identifier: MIT */
/* The services of sessions: a process for each session, so that none can hold up or break another.
 */
#include "guest/agent/server.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guest/agent/address.h"
#include "guest/agent/log.h"

/* Pause after accept() failed for lack of descriptors or memory, instead of spinning. */
#define ACCEPT_PAUSE_MS 100

struct server {
    const struct server_port *ports;
    size_t count;
    int signals;
    unsigned int sessions;
    unsigned int sessions_max;
    bool is_ending;
};

static void reap(struct server *server)
{
    while (waitpid(-1, NULL, WNOHANG) > 0) {
        if (server->sessions > 0)
            server->sessions--;
    }
}

static void take_signal(struct server *server)
{
    struct signalfd_siginfo info;

    if (read(server->signals, &info, sizeof(info)) != (ssize_t)sizeof(info))
        return;
    if (info.ssi_signo == SIGCHLD)
        reap(server);
    else
        server->is_ending = true;
}

/* In the new process: drops what belongs to the service, keeps SIGTERM blocked for the session. */
static _Noreturn void run_session(const struct server *server, const struct server_port *port,
                                  int fd)
{
    sigset_t mask;

    for (size_t i = 0; i < server->count; i++)
        (void)close(server->ports[i].listener);
    (void)close(server->signals);
    (void)sigemptyset(&mask);
    (void)sigaddset(&mask, SIGTERM);
    (void)sigprocmask(SIG_SETMASK, &mask, NULL);
    port->run(fd);
    _exit(0);
}

static void begin_session(struct server *server, const struct server_port *port, int fd)
{
    char reason[64];
    pid_t pid;

    if (!address_is_trusted_peer(fd)) {
        agent_log("refused a stream from a peer that is not the host");
        (void)close(fd);
        return;
    }
    if (server->sessions >= server->sessions_max) {
        (void)snprintf(reason, sizeof(reason), "too many sessions (%u are open)", server->sessions);
        port->refuse(fd, reason);
        return;
    }
    pid = fork();
    if (pid == 0)
        run_session(server, port, fd);
    if (pid < 0) {
        agent_log_errno("cannot start a session");
        port->refuse(fd, "the system has no room for another process");
        return;
    }
    server->sessions++;
    (void)close(fd);
}

static void accept_stream(struct server *server, const struct server_port *port)
{
    int fd = accept4(port->listener, NULL, NULL, SOCK_CLOEXEC);

    if (fd >= 0) {
        begin_session(server, port, fd);
        return;
    }
    if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
        agent_log_errno("cannot accept a stream");
        (void)poll(NULL, 0, ACCEPT_PAUSE_MS);
    }
}

int server_run(const struct server_port *ports, size_t count, unsigned int sessions_max)
{
    struct server server = {.ports = ports, .count = count, .sessions_max = sessions_max};
    sigset_t mask;

    (void)sigemptyset(&mask);
    (void)sigaddset(&mask, SIGCHLD);
    (void)sigaddset(&mask, SIGTERM);
    (void)sigaddset(&mask, SIGINT);
    (void)sigprocmask(SIG_SETMASK, &mask, NULL);
    server.signals = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
    if (server.signals < 0)
        return -errno;
    while (!server.is_ending) {
        struct pollfd polls[SERVER_PORTS_MAX + 1];

        polls[count] = (struct pollfd){.fd = server.signals, .events = POLLIN};
        for (size_t i = 0; i < count; i++)
            polls[i] = (struct pollfd){.fd = ports[i].listener, .events = POLLIN};
        if (poll(polls, count + 1, -1) < 0 && errno != EINTR)
            break;
        if (polls[count].revents != 0)
            take_signal(&server);
        for (size_t i = 0; i < count; i++) {
            if (polls[i].revents != 0)
                accept_stream(&server, &ports[i]);
        }
    }
    (void)close(server.signals);
    return 0;
}

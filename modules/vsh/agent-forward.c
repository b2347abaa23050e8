/* SPDX-License-Identifier: MIT */
/* This host's ssh agent for the time of a session. */
#include "modules/vsh/agent-forward.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "modules/vsh/forwarder.h"

/* What the new process tells once it serves, or cannot. */
struct report {
    struct crosh_error err;
    char path[108];
};

static void on_remote(void *data, const Streams__Place *at)
{
    struct report *report = data;

    if (at->where_case == STREAMS__PLACE__WHERE_PATH && at->path.len < sizeof(report->path))
        memcpy(report->path, at->path.data, at->path.len);
}

static _Noreturn void serve(const struct stream_peer *peer, const struct forward_rule *rule,
                            int report_fd, int life)
{
    static const int ignored[] = {SIGINT, SIGQUIT, SIGTSTP, SIGHUP, SIGPIPE, SIGTTOU, SIGWINCH};
    struct report report = {.err = {0}};
    const struct forwarder_watch watch = {.remote = on_remote, .data = &report};
    struct forwarder *forwarder = forwarder_new(peer, &watch);
    struct crosh_error err;

    /* Keys of the terminal are for the session. */
    for (size_t i = 0; i < sizeof(ignored) / sizeof(*ignored); i++)
        (void)signal(ignored[i], SIG_IGN);
    (void)signal(SIGTERM, SIG_DFL);
    if (forwarder == NULL)
        (void)crosh_error_set(&report.err, -ENOMEM, "out of memory");
    else if (forwarder_add(forwarder, FORWARDER_REMOTE, rule, &report.err) >= 0)
        report.err.code = 0;
    if (write(report_fd, &report, sizeof(report)) == (ssize_t)sizeof(report) &&
        report.err.code == 0) {
        (void)close(report_fd);
        (void)forwarder_run(forwarder, life, &err);
    }
    _exit(0);
}

int agent_forward_start(struct agent_forward *forward, const struct stream_peer *peer,
                        struct crosh_error *err)
{
    struct forward_rule rule = {.from = {.is_unix = true, .is_name = true, .path = "ssh-agent"},
                                .to = {.is_unix = true}};
    const char *here = getenv("SSH_AUTH_SOCK");
    struct report report;
    int life[2], told[2];
    size_t size = 0;

    *forward = (struct agent_forward){.life = -1};
    if (here == NULL || *here == '\0')
        return crosh_error_set(err, -ENOENT,
                               "there is no ssh agent here (SSH_AUTH_SOCK is not set)");
    if (strlen(here) >= sizeof(rule.to.path))
        return crosh_error_set(err, -ENAMETOOLONG, "the ssh agent's path is too long");
    (void)strcpy(rule.to.path, here);
    if (pipe2(life, O_CLOEXEC) < 0)
        return crosh_error_errno(err, "cannot make a pipe");
    if (pipe2(told, O_CLOEXEC) < 0) {
        (void)close(life[0]);
        (void)close(life[1]);
        return crosh_error_errno(err, "cannot make a pipe");
    }
    forward->pid = fork();
    if (forward->pid == 0) {
        (void)close(life[1]);
        (void)close(told[0]);
        serve(peer, &rule, told[1], life[0]);
    }
    (void)close(life[0]);
    (void)close(told[1]);
    forward->life = life[1];
    while (forward->pid > 0 && size < sizeof(report)) {
        ssize_t n = read(told[0], (char *)&report + size, sizeof(report) - size);

        if (n <= 0 && errno != EINTR)
            break;
        size += n > 0 ? (size_t)n : 0;
    }
    (void)close(told[0]);
    if (forward->pid < 0 || size < sizeof(report)) {
        (void)crosh_error_set(err, -EIO, "the ssh agent cannot be forwarded");
    } else if (report.err.code < 0) {
        *err = report.err;
    } else {
        report.path[sizeof(report.path) - 1] = '\0';
        memcpy(forward->path, report.path, sizeof(forward->path));
        return 0;
    }
    agent_forward_stop(forward);
    return err->code;
}

void agent_forward_stop(struct agent_forward *forward)
{
    if (forward->life >= 0)
        (void)close(move_fd(forward->life));
    if (forward->pid > 0) {
        while (waitpid(forward->pid, NULL, 0) < 0 && errno == EINTR)
            ;
        forward->pid = 0;
    }
}

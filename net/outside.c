/* SPDX-License-Identifier: MIT */
/*
 * Implements the helper in the host's network. A process that left for a namespace of its own
 * has no way back without privileges; so one that stayed makes sockets and runs programs for it.
 * Both are one program: the messages are plain structs.
 */
#include "net/outside.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/base/fd-pass.h"
#include "net/confine.h"

#define WORDS_MAX 16
#define TEXT_MAX  512

enum op { OP_SOCKET, OP_SPAWN, OP_IS_RUNNING, OP_SEAL };

struct request {
    enum op op;
    struct outside_socket socket;
    pid_t pid;
    unsigned int words;
    char text[TEXT_MAX]; /* the words, each with its end */
};

struct answer {
    int value; /* of OP_SPAWN: the process id; of OP_IS_RUNNING: 0 or 1; negative errno */
};

struct outside {
    int fd; /* to the helper; -1: we are there ourselves */
};

static int make_socket(const struct outside_socket *spec)
{
    const int on = 1;
    cleanup_close int fd =
        socket(spec->family, spec->type | SOCK_NONBLOCK | SOCK_CLOEXEC, spec->protocol);

    if (fd < 0)
        return -errno;
    /* Of datagrams it would let two programs have one port. */
    if (spec->is_listening && spec->type == SOCK_STREAM &&
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0)
        return -errno;
    if (spec->bind_size > 0 && bind(fd, (const struct sockaddr *)&spec->bind, spec->bind_size) < 0)
        return -errno;
    if (spec->is_listening && spec->type == SOCK_STREAM && listen(fd, SOMAXCONN) < 0)
        return -errno;
    if (spec->connect_size > 0 &&
        connect(fd, (const struct sockaddr *)&spec->connect, spec->connect_size) < 0 &&
        errno != EINPROGRESS)
        return -errno;
    return move_fd(fd);
}

static int spawn(const struct request *request)
{
    char text[TEXT_MAX];
    char *argv[WORDS_MAX + 1] = {NULL};
    char *word = text;
    pid_t parent = getpid();
    pid_t pid;

    memcpy(text, request->text, sizeof(text));
    for (unsigned int i = 0; i < request->words; i++) {
        argv[i] = word;
        word += strlen(word) + 1;
    }
    pid = fork();
    if (pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() == parent)
            (void)execvp(argv[0], argv);
        _exit(127);
    }
    return pid < 0 ? -errno : pid;
}

static bool is_running(pid_t pid)
{
    return waitpid(pid, NULL, WNOHANG) == 0;
}

static void answer(int fd, int value, int passed)
{
    const struct answer message = {.value = value};

    (void)fd_pass_send(fd, &message, sizeof(message), &passed, passed >= 0, 0);
}

/* From now on there are sockets to be made, and nothing else to be done. */
static int seal(void)
{
    struct crosh_error err = {0};
    int code = confine_files(CONFINE_HELPER, &err);

    if (code == 0)
        code = confine_enter(CONFINE_HELPER, &err);
    if (code < 0)
        (void)fprintf(stderr, "crosh-net: %s\n", err.message);
    return code;
}

static _Noreturn void serve(int ours)
{
    const int fd = STDERR_FILENO + 1;
    struct request request;
    bool is_sealed = false;
    int code;

    /* Nothing of the keeper's must live as long as this process does. */
    if (dup2(ours, fd) < 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
        _exit(1);
    (void)close_range(fd + 1, ~0U, 0);
    while (recv(fd, &request, sizeof(request), 0) == (ssize_t)sizeof(request)) {
        cleanup_close int made = -1;

        switch (request.op) {
        case OP_SOCKET:
            made = make_socket(&request.socket);
            answer(fd, made < 0 ? made : 0, made);
            break;
        case OP_SPAWN:
            answer(fd, is_sealed ? -EPERM : spawn(&request), -1);
            break;
        case OP_IS_RUNNING:
            answer(fd, is_running(request.pid), -1);
            break;
        case OP_SEAL:
            is_sealed = true;
            code = seal();
            answer(fd, code, -1);
            if (code < 0)
                _exit(1);
            break;
        }
    }
    _exit(0);
}

struct outside *outside_new(bool has_helper, struct crosh_error *err)
{
    cleanup_free struct outside *outside = calloc(1, sizeof(*outside));
    int fds[2];
    pid_t pid;

    if (outside == NULL) {
        crosh_error_set(err, -ENOMEM, "out of memory");
        return NULL;
    }
    outside->fd = -1;
    if (!has_helper)
        return move_ptr(outside);
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0) {
        crosh_error_errno(err, "socketpair");
        return NULL;
    }
    pid = fork();
    if (pid == 0) {
        (void)close(fds[0]);
        (void)signal(SIGINT, SIG_IGN);
        (void)signal(SIGTERM, SIG_IGN);
        serve(fds[1]);
    }
    (void)close(fds[1]);
    outside->fd = fds[0];
    if (pid < 0) {
        crosh_error_errno(err, "fork");
        (void)close(fds[0]);
        return NULL;
    }
    return move_ptr(outside);
}

void outside_free(struct outside *outside)
{
    if (outside == NULL)
        return;
    if (outside->fd >= 0)
        (void)close(outside->fd);
    free(outside);
}

/* Asks the helper: its value, and the descriptor that came along (else -1) in *passed. */
static int ask(struct outside *outside, const struct request *request, int *passed)
{
    struct answer message = {.value = -EIO};
    size_t count = 0;

    *passed = -1;
    if (send(outside->fd, request, sizeof(*request), MSG_NOSIGNAL) < 0 ||
        fd_pass_receive(outside->fd, &message, sizeof(message), passed, 1, &count, 0) !=
            (ssize_t)sizeof(message)) {
        if (count > 0)
            (void)close(*passed);
        *passed = -1;
        return -EPIPE;
    }
    return message.value;
}

int outside_socket(struct outside *outside, const struct outside_socket *spec,
                   struct crosh_error *err)
{
    struct request request = {.op = OP_SOCKET, .socket = *spec};
    int fd = -1;
    int code = outside->fd < 0 ? make_socket(spec) : ask(outside, &request, &fd);

    if (code < 0)
        return crosh_error_set(err, code, "%s", strerror(-code));
    return outside->fd < 0 ? code : fd;
}

pid_t outside_spawn(struct outside *outside, const char *const *argv, struct crosh_error *err)
{
    struct request request = {.op = OP_SPAWN};
    size_t used = 0;
    int fd;
    int pid;

    for (; argv[request.words] != NULL; request.words++) {
        size_t size = strlen(argv[request.words]) + 1;

        if (request.words + 1 >= WORDS_MAX || used + size > sizeof(request.text))
            return crosh_error_set(err, -E2BIG, "%s", argv[0]);
        memcpy(request.text + used, argv[request.words], size);
        used += size;
    }
    pid = ask(outside, &request, &fd);
    if (pid < 0)
        return crosh_error_set(err, pid, "cannot run %s: %s", argv[0], strerror(-pid));
    return pid;
}

bool outside_is_running(struct outside *outside, pid_t pid)
{
    struct request request = {.op = OP_IS_RUNNING, .pid = pid};
    int fd;

    return ask(outside, &request, &fd) == 1;
}

int outside_seal(struct outside *outside, struct crosh_error *err)
{
    const struct request request = {.op = OP_SEAL};
    int fd;
    int code = outside->fd >= 0 ? ask(outside, &request, &fd) : 0;

    return code < 0
               ? crosh_error_set(err, code, "the helper in the host's network cannot be confined")
               : 0;
}

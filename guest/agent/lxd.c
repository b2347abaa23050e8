/* SPDX-License-Identifier: MIT */
/* Questions to LXD over its socket. */
#include "guest/agent/lxd.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/base/deadline.h"
#include "lib/wire/ports.h"

#define NAME_MAX_LENGTH 63
#define ANSWER_MAX      (1024u * 1024u)
#define TIMEOUT_MS      30000
#define READY_PAUSE_MS  50

static int no_container(const char *name, struct crosh_error *err)
{
    return crosh_error_set(err, -ENOENT, "no such container '%s'", name);
}

static int connect_to_lxd(const char *name, struct crosh_error *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = LXD_SOCKET};
    cleanup_close int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return crosh_error_errno(err, "cannot reach LXD");
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
        if (errno == ENOENT && *name == '\0')
            return crosh_error_set(err, -ENOTCONN, "LXD does not run");
        if (errno == ENOENT)
            return no_container(name, err);
        if (errno == ECONNREFUSED)
            return crosh_error_set(err, -ENOTCONN, "LXD is not ready yet");
        return crosh_error_errno(err, "cannot reach LXD");
    }
    return move_fd(fd);
}

/* Reads to the end of the stream: an answer of HTTP 1.0. */
static int read_answer(int fd, int timeout_ms, char *answer, struct crosh_error *err)
{
    const int64_t deadline = deadline_in(timeout_ms);
    size_t used = 0;

    for (;;) {
        ssize_t n;
        int r = deadline_poll(fd, POLLIN, deadline);

        if (r < 0)
            return crosh_error_set(err, r, "LXD does not answer");
        n = read(fd, answer + used, ANSWER_MAX - used);
        if (n < 0 && errno != EINTR)
            return crosh_error_errno(err, "cannot read LXD's answer");
        if (n > 0)
            used += (size_t)n;
        if (used == ANSWER_MAX)
            return crosh_error_set(err, -EMSGSIZE, "LXD's answer is too long");
        if (n == 0)
            break;
    }
    answer[used] = '\0';
    return 0;
}

/*
 * Asks about a container, or "", with a method and a path of LXD's interface. The answer has room
 * for ANSWER_MAX bytes and a NUL.
 */
static int ask(const char *name, const char *method, const char *path, int timeout_ms, char *answer,
               struct crosh_error *err)
{
    cleanup_close int fd = connect_to_lxd(name, err);
    char request[NAME_MAX_LENGTH + 96];
    int length;

    if (fd < 0)
        return fd;
    length = snprintf(request, sizeof(request),
                      "%s %s HTTP/1.0\r\nHost: lxd\r\nContent-Length: 0\r\n\r\n", method, path);
    if (send(fd, request, (size_t)length, MSG_NOSIGNAL) != length)
        return crosh_error_errno(err, "cannot ask LXD");
    return read_answer(fd, timeout_ms, answer, err);
}

static bool is_success(const char *answer)
{
    const char *status = strchr(answer, ' ');

    return strncmp(answer, "HTTP/1.", 7) == 0 && status != NULL && strncmp(status, " 200 ", 5) == 0;
}

/*
 * No parser of JSON for one number: a quote within a string of JSON has a backslash before it, so
 * what is looked for can only be a member's name, and LXD's answer has one of that name.
 */
pid_t lxd_parse_state(const char *name, const char *answer, struct crosh_error *err)
{
    const char *status = strchr(answer, ' ');
    const char *pid = strstr(answer, "\"pid\":");
    char *end;
    long value;

    if (strncmp(answer, "HTTP/1.", 7) == 0 && status != NULL && strncmp(status, " 404 ", 5) == 0)
        return no_container(name, err);
    if (strncmp(answer, "HTTP/1.", 7) != 0 || status == NULL || strncmp(status, " 200 ", 5) != 0 ||
        pid == NULL)
        return crosh_error_set(err, -EBADMSG, "LXD gave an answer that makes no sense");
    errno = 0;
    value = strtol(pid + strlen("\"pid\":"), &end, 10);
    if (errno != 0 || end == pid + strlen("\"pid\":") || value < -1 || value > INT_MAX)
        return crosh_error_set(err, -EBADMSG, "LXD gave an answer that makes no sense");
    if (value <= 1)
        return crosh_error_set(err, -ENOTCONN, "container %s is not running", name);
    return (pid_t)value;
}

pid_t lxd_container_init(const char *name, struct crosh_error *err)
{
    cleanup_free char *answer = NULL;
    char path[NAME_MAX_LENGTH + 32];
    int r;

    if (strlen(name) > NAME_MAX_LENGTH ||
        strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-") !=
            strlen(name))
        return no_container(name, err);
    answer = malloc(ANSWER_MAX + 1);
    if (answer == NULL)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    (void)snprintf(path, sizeof(path), "/1.0/instances/%s/state", name);
    r = ask(name, "GET", path, TIMEOUT_MS, answer, err);
    return r < 0 ? r : lxd_parse_state(name, answer, err);
}

int lxd_wait_ready(int timeout_ms, struct crosh_error *err)
{
    const int64_t deadline = deadline_in(timeout_ms);
    const struct timespec pause = {.tv_nsec = READY_PAUSE_MS * 1000000L};
    cleanup_free char *answer = malloc(ANSWER_MAX + 1);
    struct crosh_error ignored;

    if (answer == NULL)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    for (;;) {
        if (ask("", "GET", "/internal/ready", TIMEOUT_MS, answer, &ignored) == 0 &&
            is_success(answer))
            return 0;
        if (deadline_now() >= deadline)
            return crosh_error_set(err, -ETIMEDOUT, "LXD is not ready after %d s",
                                   timeout_ms / 1000);
        (void)nanosleep(&pause, NULL);
    }
}

int lxd_shut_down(int timeout_ms, struct crosh_error *err)
{
    cleanup_free char *answer = malloc(ANSWER_MAX + 1);
    int r;

    if (answer == NULL)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    /* One that is still at its own start would not listen until that is over. */
    r = ask("", "GET", "/internal/ready", TIMEOUT_MS, answer, err);
    if (r == 0 && !is_success(answer))
        r = crosh_error_set(err, -ENOTCONN, "LXD is not ready yet");
    if (r == 0)
        r = ask("", "PUT", "/internal/shutdown", timeout_ms, answer, err);
    if (r < 0)
        return r;
    return is_success(answer) ? 0 : crosh_error_set(err, -EIO, "LXD cannot shut down");
}

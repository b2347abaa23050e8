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

#define NAME_CHARACTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-"
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
    char request[LXD_NAME_MAX + 96];
    int length;

    if (fd < 0)
        return fd;
    length = snprintf(request, sizeof(request),
                      "%s %s HTTP/1.0\r\nHost: lxd\r\nContent-Length: 0\r\n\r\n", method, path);
    if (send(fd, request, (size_t)length, MSG_NOSIGNAL) != length)
        return crosh_error_errno(err, "cannot ask LXD");
    return read_answer(fd, timeout_ms, answer, err);
}

static bool has_status(const char *answer, int number)
{
    int status;

    return sscanf(answer, "HTTP/1.%*d %d ", &status) == 1 && status == number;
}

/*
 * No parser of JSON for one number: a quote within a string of JSON has a backslash before it, so
 * what is looked for can only be a member's name, and LXD's answer has one of that name.
 */
pid_t lxd_parse_state(const char *name, const char *answer, struct crosh_error *err)
{
    const char *pid = strstr(answer, "\"pid\":");
    char *end;
    long value;

    if (has_status(answer, 404))
        return no_container(name, err);
    if (!has_status(answer, 200) || pid == NULL)
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
    char path[LXD_NAME_MAX + 32];
    int r;

    if (strlen(name) > LXD_NAME_MAX || strspn(name, NAME_CHARACTERS) != strlen(name))
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
            has_status(answer, 200))
            return 0;
        if (deadline_now() >= deadline)
            return crosh_error_set(err, -ETIMEDOUT, "LXD is not ready after %d s",
                                   timeout_ms / 1000);
        (void)nanosleep(&pause, NULL);
    }
}

/* As with the state: what is looked for has a quote before it. */
bool lxd_next_unfinished(const char **at, char name[LXD_NAME_MAX + 1])
{
    static const char path[] = "\"/1.0/instances/";
    const char *found;

    while ((found = strstr(*at, path)) != NULL) {
        size_t length;

        found += strlen(path);
        length = strspn(found, NAME_CHARACTERS);
        *at = found + length;
        if (found[length] != '"' || length > LXD_NAME_MAX ||
            strncmp(found, LXD_MAKING_PREFIX, strlen(LXD_MAKING_PREFIX)) != 0)
            continue;
        (void)snprintf(name, LXD_NAME_MAX + 1, "%.*s", (int)length, found);
        return true;
    }
    return false;
}

/* Deletes a container and waits until that is done. The answer's room is there for use. */
static int delete_container(const char *name, int timeout_ms, char *answer, struct crosh_error *err)
{
    static const char member[] = "\"operation\":\"/1.0/operations/";
    char path[LXD_NAME_MAX + 48];
    const char *id;
    int r;

    (void)snprintf(path, sizeof(path), "/1.0/instances/%s", name);
    r = ask("", "DELETE", path, timeout_ms, answer, err);
    if (r < 0)
        return r;
    id = strstr(answer, member);
    if (!has_status(answer, 202) || id == NULL)
        return crosh_error_set(err, -EIO, "LXD does not delete %s", name);
    id += strlen(member);
    (void)snprintf(path, sizeof(path), "/1.0/operations/%.*s/wait",
                   (int)strspn(id, "0123456789abcdef-"), id);
    r = ask("", "GET", path, timeout_ms, answer, err);
    /* The answer is a success, and in it is the operation with a status of its own. */
    if (r == 0 && (!has_status(answer, 200) || strstr(answer, "\"status\":\"Failure\"") != NULL))
        r = crosh_error_set(err, -EIO, "LXD cannot delete %s", name);
    return r;
}

int lxd_remove_unfinished(int timeout_ms, struct crosh_error *err)
{
    cleanup_free char *list = malloc(ANSWER_MAX + 1);
    cleanup_free char *answer = malloc(ANSWER_MAX + 1);
    char name[LXD_NAME_MAX + 1];
    const char *at = list;
    struct crosh_error own;
    int first = 0;
    int r;

    if (list == NULL || answer == NULL)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    r = ask("", "GET", "/1.0/instances", TIMEOUT_MS, list, err);
    if (r < 0)
        return r;
    if (!has_status(list, 200))
        return crosh_error_set(err, -EIO, "LXD does not say what containers there are");
    while (lxd_next_unfinished(&at, name)) {
        r = delete_container(name, timeout_ms, answer, &own);
        if (r < 0 && first == 0) {
            first = r;
            *err = own;
        }
    }
    return first;
}

int lxd_shut_down(int timeout_ms, struct crosh_error *err)
{
    cleanup_free char *answer = malloc(ANSWER_MAX + 1);
    int r;

    if (answer == NULL)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    /* One that is still at its own start would not listen until that is over. */
    r = ask("", "GET", "/internal/ready", TIMEOUT_MS, answer, err);
    if (r == 0 && !has_status(answer, 200))
        r = crosh_error_set(err, -ENOTCONN, "LXD is not ready yet");
    if (r == 0)
        r = ask("", "PUT", "/internal/shutdown", timeout_ms, answer, err);
    if (r < 0)
        return r;
    return has_status(answer, 200) ? 0 : crosh_error_set(err, -EIO, "LXD cannot shut down");
}

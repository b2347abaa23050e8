/* SPDX-License-Identifier: MIT */
/* One question to LXD over its socket. */
#include "guest/agent/lxd.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/base/deadline.h"
#include "lib/wire/ports.h"

#define NAME_MAX_LENGTH 63
#define ANSWER_MAX      (1024u * 1024u)
#define TIMEOUT_MS      30000

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
        if (errno == ENOENT)
            return no_container(name, err);
        if (errno == ECONNREFUSED)
            return crosh_error_set(err, -ENOTCONN, "LXD is not ready yet");
        return crosh_error_errno(err, "cannot reach LXD");
    }
    return move_fd(fd);
}

/* Reads to the end of the stream: an answer of HTTP 1.0. */
static int read_answer(int fd, char *answer, struct crosh_error *err)
{
    const int64_t deadline = deadline_in(TIMEOUT_MS);
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
    cleanup_close int fd = -1;
    char request[NAME_MAX_LENGTH + 80];
    int length;
    int r;

    if (strlen(name) > NAME_MAX_LENGTH ||
        strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-") !=
            strlen(name))
        return no_container(name, err);
    answer = malloc(ANSWER_MAX + 1);
    if (answer == NULL)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    fd = connect_to_lxd(name, err);
    if (fd < 0)
        return fd;
    length = snprintf(request, sizeof(request),
                      "GET /1.0/instances/%s/state HTTP/1.0\r\nHost: lxd\r\n\r\n", name);
    if (send(fd, request, (size_t)length, MSG_NOSIGNAL) != length)
        return crosh_error_errno(err, "cannot ask LXD");
    r = read_answer(fd, answer, err);
    return r < 0 ? r : lxd_parse_state(name, answer, err);
}

/* SPDX-License-Identifier: MIT */
/* The file service: becomes the user of the request, then sends or receives. */
#include "guest/agent/files.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "guest/agent/target.h"
#include "guest/agent/users.h"
#include "lib/base/cleanup.h"
#include "lib/files/files.h"
#include "lib/wire/files.pb-c.h"

/* A peer that connects must say what it wants within this time, and may take this long to go. */
#define REQUEST_TIMEOUT_MS 15000
#define LINGER_MS          5000
#define SOURCES_MAX        4096u

static int answer(struct files_link *link, int code, const char *text)
{
    Files__Answer message = FILES__ANSWER__INIT;
    int r;

    message.code = code;
    message.message = (char *)text;
    r = files_link_send(link, &message.base, NULL);
    return r < 0 ? r : files_link_flush(link, NULL);
}

/* Waits for the peer's end, so that our last word is not lost with the socket. */
static void linger(struct files_link *link)
{
    struct crosh_error ignored;
    ProtobufCMessage *unread = NULL;

    (void)shutdown(link->fd, SHUT_WR);
    while (files_link_receive(link, &files__to_receiver__descriptor, LINGER_MS, &unread,
                              &ignored) == 0)
        protobuf_c_message_free_unpacked(unread, NULL);
}

/* Becomes the user that was asked for, at home. */
static int become(const Files__Request *request, struct crosh_error *err)
{
    cleanup(target_fini) struct target target;
    struct user user;
    int r = target_open(&target, request->target, err);

    if (r == 0)
        r = target_enter(&target, err);
    if (r == 0)
        r = user_lookup(&user, request->user, USERS_PASSWD_FILE, USERS_GROUP_FILE, err);
    if (r < 0)
        return r;
    r = user_become(&user, err);
    if (r == 0 && chdir(user.home) < 0 && chdir("/") < 0)
        r = crosh_error_errno(err, "cannot enter /");
    user_fini(&user);
    return r;
}

/* A path of the protocol as a string, "." for an empty one; NULL when it is none. */
static char *path_of(const ProtobufCBinaryData *bytes)
{
    if (bytes->len == 0)
        return strdup(".");
    if (bytes->len >= PATH_MAX || memchr(bytes->data, '\0', bytes->len) != NULL)
        return NULL;
    return strndup((const char *)bytes->data, bytes->len);
}

static void put(struct files_link *link, const Files__Put *request, struct crosh_error *err)
{
    static const struct files_watch watch = {0};
    cleanup(files_target_fini) struct files_target target = {.dir_fd = -1};
    cleanup_free char *path = path_of(&request->target);
    int r;

    if (path == NULL)
        r = crosh_error_set(err, -EINVAL, "the target is no path");
    else
        r = files_target_open(&target, path, request->is_into, err);
    if (answer(link, r, r < 0 ? err->message : "") < 0 || r < 0)
        return;
    (void)umask(0);
    (void)files_receive(link, &target, NULL, 0, &watch, err);
}

static void get(struct files_link *link, const Files__Get *request, struct crosh_error *err)
{
    static const struct files_watch watch = {0};
    size_t count = request->n_sources;
    char **sources = calloc(count + 1, sizeof(*sources));
    int r = 0;

    if (sources == NULL)
        r = crosh_error_set(err, -ENOMEM, "out of memory");
    else if (count > SOURCES_MAX)
        r = crosh_error_set(err, -E2BIG, "more than %u sources", SOURCES_MAX);
    for (size_t i = 0; r == 0 && i < count; i++) {
        sources[i] = path_of(&request->sources[i]);
        if (sources[i] == NULL)
            r = crosh_error_set(err, -EINVAL, "a source is no path");
    }
    if (answer(link, r, r < 0 ? err->message : "") == 0 && r == 0)
        (void)files_send(link, (const char *const *)sources, count, &watch, err);
    for (size_t i = 0; sources != NULL && i < count; i++)
        free(sources[i]);
    free(sources);
}

static void serve(struct files_link *link)
{
    struct crosh_error err = {0};
    Files__Request *request = NULL;
    int r = files_link_receive(link, &files__request__descriptor, REQUEST_TIMEOUT_MS,
                               (ProtobufCMessage **)&request, &err);

    if (r == CROSH_ELOST)
        return;
    if (r == 0 && request->version != FILES_VERSION)
        r = crosh_error_set(&err, -EPROTONOSUPPORT, "version %u of the protocol is not known",
                            request->version);
    if (r == 0)
        r = become(request, &err);
    if (r < 0)
        (void)answer(link, r, err.message);
    else if (request->op_case == FILES__REQUEST__OP_PUT)
        put(link, request->put, &err);
    else if (request->op_case == FILES__REQUEST__OP_GET)
        get(link, request->get, &err);
    else
        (void)answer(link, -ENOSYS, "an unknown request");
    if (request != NULL)
        files__request__free_unpacked(request, NULL);
    linger(link);
}

void files_run(int fd)
{
    struct files_link link;
    sigset_t none;

    /* The system going down ends a copy. */
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
    if (files_link_init(&link, fd, -1, NULL) == 0)
        serve(&link);
    files_link_fini(&link);
    (void)close(fd);
}

void files_refuse(int fd, const char *reason)
{
    struct files_link link;

    if (files_link_init(&link, fd, -1, NULL) == 0)
        (void)answer(&link, -EBUSY, reason);
    files_link_fini(&link);
    (void)shutdown(fd, SHUT_WR);
    (void)close(fd);
}

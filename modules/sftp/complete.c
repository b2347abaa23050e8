/* SPDX-License-Identifier: MIT */
/* Completes places at the prompt: guests, and the paths in them or at a host. */
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <jansson.h>

#include "lib/base/cleanup.h"
#include "lib/base/deadline.h"
#include "lib/base/detached.h"
#include "lib/command/complete.h"
#include "lib/vm/complete-container.h"
#include "modules/sftp/commands.h"
#include "modules/sftp/where.h"

/*
 * Somebody waits at the keyboard: a place that is slower has no names. What is begun there, such as
 * programs of ssh's settings, is ended by itself, a little before it is.
 */
#define COMPLETION_MS      2500
#define COMPLETION_SECONDS "2"
/* Of a listing, as JSON: more is nothing to choose from. */
#define LISTING_MAX ((size_t)8 * 1024 * 1024)

/*
 * Starts "sftp ls": it can be ended whatever it waits for. It has no terminal, so nobody is asked
 * for anything, nor by a window of ssh's. *out: what it prints.
 */
static pid_t start_listing(const char *place, bool is_by_ssh, int *out)
{
    const char *const args[] = {"sftp",
                                "ls",
                                "--json",
                                "--timeout",
                                COMPLETION_SECONDS,
                                is_by_ssh ? "--ssh" : "--",
                                is_by_ssh ? "--" : place,
                                is_by_ssh ? place : NULL,
                                NULL};
    const char *require = getenv("SSH_ASKPASS_REQUIRE");
    cleanup_free char *before = require != NULL ? strdup(require) : NULL;
    cleanup_close int theirs = -1;
    int fds[2];
    pid_t pid;

    if (pipe2(fds, O_CLOEXEC) < 0)
        return -1;
    *out = fds[0];
    theirs = fds[1];
    (void)setenv("SSH_ASKPASS_REQUIRE", "never", 1);
    pid = detached_child(args, theirs);
    if (before != NULL)
        (void)setenv("SSH_ASKPASS_REQUIRE", before, 1);
    else
        (void)unsetenv("SSH_ASKPASS_REQUIRE");
    return pid;
}

/* All that comes in time, parsed; NULL: it is no whole listing. */
static json_t *read_listing(struct crosh_context *ctx, int fd)
{
    const int64_t deadline = deadline_in(COMPLETION_MS);
    cleanup_free char *text = NULL;
    size_t filled = 0, room = 0;

    for (;;) {
        struct pollfd pfd[2] = {{.fd = fd, .events = POLLIN},
                                {.fd = crosh_interrupt_fd(ctx), .events = POLLIN}};
        int64_t left = deadline - deadline_now();
        ssize_t n;

        if (left <= 0 || (poll(pfd, 2, (int)left) < 0 && errno != EINTR) || pfd[1].revents != 0)
            return NULL;
        if (pfd[0].revents == 0)
            continue;
        if (filled == room) {
            char *more = room < LISTING_MAX ? realloc(text, room + LISTING_MAX / 64) : NULL;

            if (more == NULL)
                return NULL;
            text = more;
            room += LISTING_MAX / 64;
        }
        n = read(fd, text + filled, room - filled);
        if (n == 0)
            return json_loadb(text, filled, 0, NULL);
        if (n < 0 && errno != EINTR)
            return NULL;
        filled += n > 0 ? (size_t)n : 0;
    }
}

static json_t *list(struct crosh_context *ctx, const char *place)
{
    const char *transport = crosh_setting(ctx, "sftp.transport");
    cleanup_close int fd = -1;
    pid_t pid = start_listing(place, transport != NULL && strcmp(transport, "ssh") == 0, &fd);
    json_t *listing;

    if (pid < 0)
        return NULL;
    listing = read_listing(ctx, fd);
    /* With what it has started. */
    (void)kill(-pid, SIGKILL);
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
    return listing;
}

/* Whether it is written as a place with a path begins; *base: the last part of that. */
static bool find_base(const char *prefix, const char **base)
{
    cleanup(sftp_where_fini) struct sftp_where where = {0};
    const size_t length = strlen(prefix);
    const char *slash, *path;

    if (sftp_where_parse(&where, prefix, NULL) < 0)
        return false;
    path = prefix + length - strlen(where.path);
    if (path == prefix || (path[-1] != ':' && path[-1] != '/' && path[0] != '/'))
        return false;
    slash = strrchr(path, '/');
    *base = slash != NULL ? slash + 1 : path;
    /* "VM/", without a colon, begins a container's name. */
    return strchr(prefix, ':') != NULL;
}

static void complete_path(struct crosh_context *ctx, const char *prefix, const char *base,
                          struct crosh_matches *matches)
{
    cleanup_free char *place = strndup(prefix, (size_t)(base - prefix));
    json_t *listing = place != NULL ? list(ctx, place) : NULL;
    json_t *entry;
    size_t i;

    json_array_foreach(listing, i, entry)
    {
        const char *name = json_string_value(json_object_get(entry, "name"));
        bool is_directory = S_ISDIR((mode_t)json_integer_value(json_object_get(entry, "mode")));
        cleanup_free char *text = NULL;

        /* What cannot be typed is listed with "?"; what is hidden is for who asks for it. */
        if (name == NULL || strchr(name, '?') != NULL || (name[0] == '.' && base[0] != '.') ||
            strchr(name, '/') != NULL)
            continue;
        if (asprintf(&text, "%s%s%s", place, name, is_directory ? "/" : "") < 0) {
            text = NULL;
            break;
        }
        if (is_directory)
            crosh_priv_matches_add_partial(matches, text, NULL);
        else
            crosh_match_add(matches, text, NULL);
    }
    json_decref(listing);
}

void sftp_complete_target(struct crosh_context *ctx, const struct crosh_args *args,
                          const char *prefix, struct crosh_matches *matches)
{
    const char *base;

    if (find_base(prefix, &base))
        complete_path(ctx, prefix, base, matches);
    else
        crosh_priv_complete_guest(ctx, args, prefix, matches);
}

void sftp_complete_either(struct crosh_context *ctx, const struct crosh_args *args,
                          const char *prefix, struct crosh_matches *matches)
{
    const char *base;

    if (sftp_is_place(prefix) && find_base(prefix, &base)) {
        complete_path(ctx, prefix, base, matches);
        return;
    }
    crosh_priv_complete_path(prefix, matches);
    crosh_priv_complete_place(ctx, args, prefix, matches);
}

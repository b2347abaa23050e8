/* SPDX-License-Identifier: MIT */
/* Runs the image builder (crosh-mkimage) and hears what it says. */
#include "modules/vmc/builder.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/base/deadline.h"

#define TICK_MS      100
#define KILL_WAIT_MS 3000

extern char **environ;

/* The program begins with something new: what it did so far is done. */
static void take_stage(struct builder_words *words, struct progress *progress, const char *name)
{
    if (progress->stage != NULL)
        progress_done(progress, -1);
    (void)snprintf(words->stage, sizeof(words->stage), "%s", name);
    words->has_stages = true;
    progress_begin(progress, words->stage);
}

/*
 * Errors are "crosh-mkimage: MESSAGE", or of one of its helpers; a remedy follows
 * indented. A line with "note: " is for the user in any case; "stage: NAME" begins a stage.
 */
static void take_line(struct builder_words *words, struct progress *progress)
{
    const char *line = words->line;
    const char *message;

    words->line[words->used] = '\0';
    words->used = 0;
    message = strncmp(line, "crosh-", 6) == 0 ? strstr(line, ": ") : NULL;
    if (message != NULL) {
        (void)snprintf(words->message, sizeof(words->message), "%s", message + 2);
        words->hint[0] = '\0';
    } else if (strncmp(line, "note: ", 6) == 0) {
        progress_note(progress, line + 6);
    } else if (strncmp(line, "stage: ", 7) == 0) {
        take_stage(words, progress, line + 7);
    } else if (strncmp(line, "  ", 2) == 0) {
        (void)snprintf(words->hint, sizeof(words->hint), "%.255s", line + 2);
    } else {
        (void)snprintf(words->other, sizeof(words->other), "%s", line);
    }
}

static void take_words(struct builder_words *words, struct progress *progress, const char *data,
                       size_t size)
{
    size_t i;

    for (i = 0; i < size; i++) {
        if (data[i] == '\n')
            take_line(words, progress);
        else if (words->used + 1 < sizeof(words->line))
            words->line[words->used++] = data[i];
    }
}

/* Starts a program in a process group of its own, with its stderr in *words_fd. */
static int spawn(const char *const *argv, pid_t *pid, int *words_fd, struct crosh_error *err)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none;
    sigset_t defaults;
    int fds[2];
    int rc;

    if (pipe2(fds, O_CLOEXEC) < 0)
        return crosh_error_errno(err, "pipe");
    (void)sigemptyset(&none);
    (void)sigemptyset(&defaults);
    (void)sigaddset(&defaults, SIGINT);
    (void)sigaddset(&defaults, SIGTERM);
    (void)sigaddset(&defaults, SIGPIPE);
    (void)posix_spawn_file_actions_init(&actions);
    (void)posix_spawnattr_init(&attributes);
    (void)posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    (void)posix_spawn_file_actions_adddup2(&actions, fds[1], 1);
    (void)posix_spawn_file_actions_adddup2(&actions, fds[1], 2);
    (void)posix_spawnattr_setsigmask(&attributes, &none);
    (void)posix_spawnattr_setsigdefault(&attributes, &defaults);
    (void)posix_spawnattr_setpgroup(&attributes, 0);
    (void)posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
                                                    POSIX_SPAWN_SETPGROUP);
    rc = posix_spawn(pid, argv[0], &actions, &attributes, (char *const *)argv, environ);
    (void)posix_spawn_file_actions_destroy(&actions);
    (void)posix_spawnattr_destroy(&attributes);
    (void)close(fds[1]);
    if (rc != 0) {
        (void)close(fds[0]);
        return crosh_error_set(err, -rc, "cannot run %s: %s", argv[0], strerror(rc));
    }
    *words_fd = fds[0];
    return 0;
}

/* Ends the builder's whole group: TERM lets it tidy up, KILL is for one that does not. */
static void kill_builder(pid_t pid, int words_fd)
{
    struct pollfd pfd = {.fd = words_fd, .events = POLLIN};
    const int64_t deadline = deadline_now() + KILL_WAIT_MS;
    char drain[512];

    (void)kill(-pid, SIGTERM);
    while (deadline_now() < deadline) {
        if (poll(&pfd, 1, TICK_MS) > 0 && read(words_fd, drain, sizeof(drain)) <= 0)
            break;
    }
    (void)kill(-pid, SIGKILL);
}

/* Hears the builder to its end. 0, or -EINTR. */
static int attend(struct crosh_context *ctx, struct progress *progress, pid_t pid, int words_fd,
                  struct builder_words *words, struct crosh_error *err)
{
    const int64_t began = deadline_now();

    for (;;) {
        struct pollfd pfd[2] = {{.fd = words_fd, .events = POLLIN},
                                {.fd = crosh_interrupt_fd(ctx), .events = POLLIN}};
        char data[512];
        ssize_t n;

        if (poll(pfd, 2, TICK_MS) < 0 && errno != EINTR) {
            kill_builder(pid, words_fd);
            return crosh_error_errno(err, "poll");
        }
        if (crosh_is_interrupted(ctx)) {
            kill_builder(pid, words_fd);
            return crosh_error_set(err, -EINTR, "interrupted while building the image");
        }
        /* A builder that finds all in order is gone before anyone could read of it. */
        if (progress->stage == NULL && deadline_now() - began >= TICK_MS)
            progress_begin(progress, "image");
        progress_tick(progress);
        if ((pfd[0].revents & (POLLIN | POLLHUP)) == 0)
            continue;
        n = read(words_fd, data, sizeof(data));
        if (n == 0)
            return 0;
        if (n > 0)
            take_words(words, progress, data, (size_t)n);
    }
}

int builder_run(struct crosh_context *ctx, struct progress *progress, const char *const *argv,
                struct builder_words *words, struct crosh_error *err)
{
    cleanup_close int words_fd = -1;
    const int64_t began = deadline_now();
    pid_t pid;
    int status = 0;
    int rc;

    rc = spawn(argv, &pid, &words_fd, err);
    if (rc < 0)
        return rc;
    rc = attend(ctx, progress, pid, words_fd, words, err);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (rc < 0) {
        progress_clear(progress);
        return rc;
    }
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return 1;
    progress_done(progress, words->has_stages ? -1 : (deadline_now() - began) * 1000);
    return 0;
}

int builder_failed(const struct builder_words *words, struct crosh_error *err)
{
    if (words->message[0] != '\0')
        crosh_error_set(err, -EIO, "cannot build the image: %s", words->message);
    else
        crosh_error_set(err, -EIO, "cannot build the image: the builder died%s%s",
                        words->other[0] != '\0' ? "; its last words: " : "", words->other);
    if (words->hint[0] != '\0')
        (void)crosh_error_hint(err, "%s", words->hint);
    return -EIO;
}

/* SPDX-License-Identifier: MIT */
/* "sftp mount", "umount" and "list". */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <jansson.h>

#include <crosh/vm.h>

#include "lib/base/cleanup.h"
#include "lib/base/deadline.h"
#include "lib/base/sanitize.h"
#include "lib/base/unix-socket.h"
#include "modules/sftp/bookmarks.h"
#include "modules/sftp/commands.h"
#include "modules/sftp/mounts.h"
#include "modules/sftp/where.h"

#define PROGRAM CROSH_LIBEXECDIR "/crosh-sftpfs"
/* How long a mount may take to tell of itself. */
#define STATUS_TIMEOUT_MS 2000
#define END_POLL_MS       50

/* ---- Where a mount goes ---- */

/* ~/crosh/NAME, made when it is not there. */
static char *default_directory(const struct sftp_where *where, struct crosh_error *err)
{
    const char *home = getenv("HOME");
    char *path = NULL;
    int r = home != NULL && home[0] == '/'
                ? asprintf(&path, "%s/crosh/%s", home,
                           where->container != NULL ? where->container : where->name)
                : -1;

    if (r < 0) {
        (void)crosh_error_set(err, CROSH_EUSAGE, "HOME is not set: say where to mount");
        return NULL;
    }
    /* A dead mount of ours was removed before; any other directory is taken as it is. */
    for (char *at = strchr(path + 1, '/'); at != NULL; at = strchr(at + 1, '/')) {
        *at = '\0';
        (void)mkdir(path, 0777);
        *at = '/';
    }
    if (mkdir(path, 0700) < 0 && errno != EEXIST) {
        (void)crosh_error_errno(err, "cannot make %s", path);
        free(path);
        return NULL;
    }
    return path;
}

static char *find_directory(const struct crosh_args *args, const struct sftp_where *where,
                            struct crosh_error *err)
{
    const char *given = crosh_args_string(args, "directory");
    cleanup_free char *made = NULL;
    char *path;
    struct stat st;

    if (given == NULL && (made = default_directory(where, err)) == NULL)
        return NULL;
    path = realpath(given != NULL ? given : made, NULL);
    if (path == NULL || stat(path, &st) < 0) {
        (void)crosh_error_errno(err, "%s", given != NULL ? given : made);
        free(path);
        return NULL;
    }
    if (!S_ISDIR(st.st_mode)) {
        (void)crosh_error_set(err, -ENOTDIR, "%s is not a directory", path);
        free(path);
        return NULL;
    }
    return path;
}

/* ---- Starting ---- */

/* The process that serves the mount: nobody's child, so that nobody has to wait for it. */
static _Noreturn void become_server(const struct crosh_args *args, const char *directory,
                                    const char *state, int lock, int ready)
{
    char ready_text[16], timeout[16], cache[16];
    const char *argv[] = {PROGRAM,       "--target",   crosh_args_string(args, "target"),
                          "--directory", directory,    "--state",
                          state,         "--ready-fd", ready_text,
                          "--timeout",   timeout,      "--cache",
                          cache,         NULL,         NULL,
                          NULL};
    size_t count = 13;
    sigset_t none;
    pid_t pid = fork();

    if (pid != 0)
        _exit(pid < 0 ? 1 : 0);
    (void)snprintf(ready_text, sizeof(ready_text), "%d", ready);
    (void)snprintf(timeout, sizeof(timeout), "%lld",
                   (long long)crosh_args_number(args, "timeout", 0));
    (void)snprintf(cache, sizeof(cache), "%lld", (long long)crosh_args_number(args, "cache", 0));
    if (crosh_args_has(args, "read-only") != 0)
        argv[count++] = "--read-only";
    if (crosh_args_has(args, "allow-other") != 0)
        argv[count++] = "--allow-other";
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)signal(SIGINT, SIG_DFL);
    (void)fcntl(lock, F_SETFD, 0);
    (void)fcntl(ready, F_SETFD, 0);
    (void)execv(PROGRAM, (char *const *)argv);
    _exit(127);
}

/* Waits for the server's word. */
static int await_ready(struct crosh_context *ctx, int ready, struct crosh_error *err)
{
    struct crosh_error told;
    ssize_t n;

    for (;;) {
        struct pollfd pfd[2] = {{.fd = ready, .events = POLLIN},
                                {.fd = crosh_interrupt_fd(ctx), .events = POLLIN}};

        if (poll(pfd, 2, -1) < 0 && errno != EINTR)
            return crosh_error_errno(err, "cannot wait for the mount");
        if (pfd[0].revents != 0)
            break;
        if (crosh_is_interrupted(ctx) != 0)
            return crosh_error_set(err, -EINTR, "interrupted");
    }
    n = read(ready, &told, sizeof(told));
    if (n != (ssize_t)sizeof(told))
        return crosh_error_set(err, -EIO, "the mount's process ended without a word");
    if (told.code != 0)
        *err = told;
    return told.code;
}

static int start(struct crosh_context *ctx, const struct crosh_args *args, const char *directory,
                 const char *state, int lock, struct crosh_error *err)
{
    cleanup_close int ours = -1;
    cleanup_close int theirs = -1;
    int fds[2], status;
    pid_t pid;

    if (access(PROGRAM, X_OK) < 0)
        return crosh_error_errno(err, "%s", PROGRAM);
    if (pipe2(fds, O_CLOEXEC) < 0)
        return crosh_error_errno(err, "cannot make a pipe");
    ours = fds[0];
    theirs = fds[1];
    pid = fork();
    if (pid < 0)
        return crosh_error_errno(err, "cannot start a process");
    if (pid == 0)
        become_server(args, directory, state, lock, theirs);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    (void)close(move_fd(theirs));
    return await_ready(ctx, ours, err);
}

int sftp_run_mount(struct crosh_context *ctx, const struct crosh_args *args,
                   struct crosh_error *err)
{
    const char *target = crosh_args_string(args, "target");
    cleanup(sftp_where_fini) struct sftp_where where = {0};
    cleanup(mounts_fini) struct mounts mounts = {0};
    cleanup_free char *directory = NULL;
    cleanup_free char *state = NULL;
    cleanup_close int lock = -1;
    int r = sftp_where_parse(&where, target, err);

    if (r == 0)
        r = mounts_read(&mounts, err);
    if (r < 0)
        return r;
    directory = find_directory(args, &where, err);
    if (directory == NULL)
        return err->code;
    for (size_t i = 0; i < mounts.count; i++) {
        if (!mounts.mount[i].is_mounted || strcmp(mounts.mount[i].directory, directory) != 0)
            continue;
        (void)crosh_error_set(err, -EEXIST, "%s is mounted there already: %s",
                              mounts.mount[i].target, directory);
        return crosh_error_hint(err, "sftp umount %s", directory);
    }
    state = mounts_new(target, directory, &lock, err);
    if (state == NULL)
        return err->code;
    r = start(ctx, args, directory, state, lock, err);
    if (r < 0) {
        mounts_remove(state);
        return r;
    }
    /* Where nobody has said otherwise it is where file managers should show it. */
    if (crosh_args_string(args, "directory") == NULL && (r = bookmarks_add(directory)) < 0)
        crosh_warn(ctx, "file managers get no bookmark for it: %s", strerror(-r));
    (void)fprintf(crosh_stdout(ctx), "%s is at %s\n", target, directory);
    return 0;
}

/* ---- Ending ---- */

/* The mount that the word means: its target, its directory, or the last part of that. */
static const struct mount *find_mount(const struct mounts *mounts, const char *word)
{
    cleanup_free char *path = realpath(word, NULL);

    for (size_t i = 0; i < mounts->count; i++) {
        const struct mount *mount = &mounts->mount[i];

        if (!mount->is_mounted)
            continue;
        if (strcmp(mount->target, word) == 0 || strcmp(mount->directory, word) == 0 ||
            (path != NULL && strcmp(mount->directory, path) == 0))
            return mount;
    }
    return NULL;
}

/* Until its process has sent what was still to be sent, and is gone. */
static int await_end(struct crosh_context *ctx, const struct mount *mount)
{
    for (;;) {
        struct pollfd interrupt = {.fd = crosh_interrupt_fd(ctx), .events = POLLIN};
        struct mounts now;
        struct stat st;

        /* Reading the list removes what a process that ended has left. */
        if (mounts_read(&now, NULL) < 0)
            return 0;
        mounts_fini(&now);
        if (stat(mount->state, &st) < 0)
            return 0;
        if (poll(&interrupt, 1, END_POLL_MS) > 0)
            return -EINTR;
    }
}

int sftp_run_umount(struct crosh_context *ctx, const struct crosh_args *args,
                    struct crosh_error *err)
{
    const char *word = crosh_args_string(args, "target");
    cleanup(mounts_fini) struct mounts mounts = {0};
    const struct mount *mount;
    int r = mounts_read(&mounts, err);

    if (r < 0)
        return r;
    mount = find_mount(&mounts, word);
    if (mount == NULL) {
        (void)crosh_error_set(err, -ENOENT, "%s is not mounted", word);
        return crosh_error_hint(err, "see what is: sftp list");
    }
    r = mounts_unmount(mount->directory, err);
    if (r == 1) {
        crosh_warn(ctx, "programs are busy in %s: they keep the files that they have open",
                   mount->directory);
        return 0;
    }
    if (r == 0 && await_end(ctx, mount) < 0)
        r = crosh_error_set(err, -EINTR, "interrupted; the rest goes on by itself");
    return r;
}

/* ---- Listing ---- */

/* What the mount tells of itself; an object with the state "silent" when it does not. */
static json_t *ask_status(const struct mount *mount)
{
    cleanup_free char *path = NULL;
    cleanup_close int fd = -1;
    char text[2048];
    ssize_t n = -1;
    json_t *json = NULL;

    if (asprintf(&path, "%s/status.sock", mount->state) < 0)
        path = NULL;
    if (path != NULL)
        fd = unix_connect(path);
    if (fd >= 0 && deadline_poll(fd, POLLIN, deadline_in(STATUS_TIMEOUT_MS)) == 0)
        n = read(fd, text, sizeof(text));
    if (n > 0)
        json = json_loadb(text, (size_t)n, 0, NULL);
    return json != NULL ? json : json_pack("{s:s, s:s}", "state", "silent", "reason", "");
}

static const char *size_text(json_int_t bytes, char *text, size_t size)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    double value = (double)bytes;
    size_t unit = 0;

    while (value >= 1024 && unit + 1 < sizeof(units) / sizeof(units[0])) {
        value /= 1024;
        unit++;
    }
    (void)snprintf(text, size, unit == 0 ? "%.0f %s" : "%.1f %s", value, units[unit]);
    return text;
}

static json_int_t number(const json_t *json, const char *key)
{
    return json_integer_value(json_object_get(json, key));
}

static int print_list(struct crosh_context *ctx, const json_t *list, struct crosh_error *err)
{
    static const char *const headers[] = {"DIRECTORY", "TARGET", "STATE", "READ", "SENT", NULL};
    struct crosh_table *table = crosh_table_new(headers);
    size_t i;
    json_t *entry;

    if (table == NULL)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    json_array_foreach(list, i, entry)
    {
        const char *reason = json_string_value(json_object_get(entry, "reason"));
        json_int_t lost = number(entry, "lost_write_bytes");
        char received[32], sent[32], state[400], why[300] = "";
        const char *const cells[] = {
            json_string_value(json_object_get(entry, "directory")),
            json_string_value(json_object_get(entry, "target")),
            state,
            size_text(number(entry, "received_bytes"), received, sizeof(received)),
            size_text(number(entry, "sent_bytes"), sent, sizeof(sent)),
        };

        if (reason != NULL && reason[0] != '\0')
            text_sanitize(why, sizeof(why), reason);
        (void)snprintf(
            state, sizeof(state), "%s%s%s%s", json_string_value(json_object_get(entry, "state")),
            why[0] != '\0' ? ": " : "", why, lost > 0 ? "; some of what was written is lost" : "");
        crosh_table_row(table, cells);
    }
    crosh_table_print(table, ctx);
    crosh_table_free(table);
    return 0;
}

int sftp_run_list(struct crosh_context *ctx, const struct crosh_args *args, struct crosh_error *err)
{
    cleanup(mounts_fini) struct mounts mounts = {0};
    json_t *list = json_array();
    int r = mounts_read(&mounts, err);

    for (size_t i = 0; r == 0 && i < mounts.count; i++) {
        json_t *entry = ask_status(&mounts.mount[i]);

        if (!mounts.mount[i].is_mounted)
            (void)json_object_set_new(entry, "state", json_string("unmounted, but busy"));
        if (json_object_set_new(entry, "target", json_string(mounts.mount[i].target)) < 0 ||
            json_object_set_new(entry, "directory", json_string(mounts.mount[i].directory)) < 0 ||
            json_array_append_new(list, entry) < 0)
            r = crosh_error_set(err, -ENOMEM, "out of memory");
    }
    if (r == 0 && crosh_args_has(args, "json") != 0) {
        (void)json_dumpf(list, crosh_stdout(ctx), JSON_INDENT(2));
        (void)fputc('\n', crosh_stdout(ctx));
    } else if (r == 0) {
        r = print_list(ctx, list, err);
    }
    json_decref(list);
    return r;
}

/* SPDX-License-Identifier: MIT */
/* "sftp mount" and "umount". */
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

#include <crosh/vm.h>

#include "lib/base/cleanup.h"
#include "lib/base/deadline.h"
#include "lib/vm/runtime.h"
#include "lib/vm/store.h"
#include "modules/sftp/bookmarks.h"
#include "modules/sftp/folder-icon.h"
#include "modules/sftp/commands.h"
#include "modules/sftp/mounts.h"
#include "modules/sftp/places.h"
#include "modules/sftp/where.h"

#define PROGRAM     CROSH_LIBEXECDIR "/crosh-sftpfs"
#define END_POLL_MS 50
/* How long, and how often, a guest that comes up is tried: LXD brings back what ran before. */
#define AUTO_WAIT_MS      120000
#define AUTO_PAUSE_MS     500
#define AUTO_PAUSE_MAX_MS 4000

/* ---- Where a mount goes ---- */

/* ~/crosh/NAME, made when it is not there. */
static char *default_directory(const struct sftp_where *where, bool *is_made,
                               struct crosh_error *err)
{
    const char *home = getenv("HOME");
    /* As the network calls them. */
    bool is_elsewhere = where->container != NULL && strcmp(where->vm, CROSH_DEFAULT_VM) != 0;
    char *path = NULL;
    int r = home != NULL && home[0] == '/'
                ? asprintf(&path, "%s/crosh/%s%s%s", home,
                           where->container != NULL ? where->container : where->name,
                           is_elsewhere ? "." : "", is_elsewhere ? where->vm : "")
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
    *is_made = mkdir(path, 0700) == 0;
    if (!*is_made && errno != EEXIST) {
        (void)crosh_error_errno(err, "cannot make %s", path);
        free(path);
        return NULL;
    }
    return path;
}

static char *find_directory(const struct crosh_args *args, const struct sftp_where *where,
                            bool *is_made, struct crosh_error *err)
{
    const char *given = crosh_args_string(args, "directory");
    cleanup_free char *made = NULL;
    char *path;

    if (given == NULL && (made = default_directory(where, is_made, err)) == NULL)
        return NULL;
    path = realpath(given != NULL ? given : made, NULL);
    if (path == NULL)
        (void)crosh_error_errno(err, "%s", given != NULL ? given : made);
    return path;
}

/* Asked only where nothing of ours is mounted, as a server that is away would be waited for. */
static int require_directory(const char *path, struct crosh_error *err)
{
    struct stat st;

    if (stat(path, &st) < 0)
        return crosh_error_errno(err, "%s", path);
    return S_ISDIR(st.st_mode) ? 0 : crosh_error_set(err, -ENOTDIR, "%s is not a directory", path);
}

/* ---- Starting ---- */

/* The process that serves the mount: nobody's child, so that nobody has to wait for it. */
static _Noreturn void become_server(const struct crosh_args *args, const struct sftp_where *where,
                                    const char *directory, const char *state, int lock, int ready)
{
    char ready_text[16], timeout[16], cache[16];
    const char *argv[] = {PROGRAM,       "--target",   crosh_args_string(args, "target"),
                          "--directory", directory,    "--state",
                          state,         "--ready-fd", ready_text,
                          "--timeout",   timeout,      "--cache",
                          cache,         NULL,         NULL,
                          NULL,          NULL};
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
    if (where->is_by_ssh)
        argv[count++] = "--ssh";
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

static int start(struct crosh_context *ctx, const struct crosh_args *args,
                 const struct sftp_where *where, const char *directory, const char *state, int lock,
                 struct crosh_error *err)
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
        become_server(args, where, directory, state, lock, theirs);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    (void)close(move_fd(theirs));
    return await_ready(ctx, ours, err);
}

/* 1: it is mounted there already; 0: nothing is; negative: another is. */
static int find_mounted(const struct mounts *mounts, const char *target, const char *directory,
                        struct crosh_error *err)
{
    for (size_t i = 0; i < mounts->count; i++) {
        const struct mount *mount = &mounts->mount[i];

        if (!mount->is_mounted || strcmp(mount->directory, directory) != 0)
            continue;
        (void)crosh_error_set(err, -EEXIST, "%s is mounted there already: %s", mount->target,
                              directory);
        (void)crosh_error_hint(err, "sftp umount %s", directory);
        return strcmp(mount->target, target) == 0 ? 1 : -EEXIST;
    }
    return 0;
}

static int mount_it(struct crosh_context *ctx, const struct crosh_args *args,
                    const struct sftp_where *where, struct crosh_error *err)
{
    const char *target = crosh_args_string(args, "target");
    bool is_auto = crosh_args_has(args, "auto") != 0;
    cleanup(mounts_fini) struct mounts mounts = {0};
    cleanup_free char *directory = NULL;
    cleanup_free char *state = NULL;
    cleanup_close int lock = -1;
    bool is_made = false;
    int r = mounts_read(&mounts, err);

    if (r < 0)
        return r;
    directory = find_directory(args, where, &is_made, err);
    if (directory == NULL)
        return err->code;
    r = find_mounted(&mounts, target, directory, err);
    if (r != 0)
        return is_auto && r > 0 ? 0 : err->code;
    if (require_directory(directory, err) < 0)
        return err->code;
    state = mounts_new(target, directory, is_made, is_auto ? where->vm : NULL, &lock, err);
    if (state == NULL)
        return err->code;
    r = start(ctx, args, where, directory, state, lock, err);
    if (r < 0) {
        mounts_remove(state);
        if (is_made)
            (void)rmdir(directory);
        return r;
    }
    /* Where nobody has said otherwise it is where file managers should show it. */
    if (crosh_args_string(args, "directory") == NULL) {
        r = bookmarks_add(directory);
        if (r < 0)
            crosh_warn(ctx, "file managers get no bookmark for it: %s", strerror(-r));
        r = places_add(directory);
        if (r < 0)
            crosh_warn(ctx, "KDE's file manager gets no place for it: %s", strerror(-r));
        folder_icon_give(directory);
    }
    (void)fprintf(crosh_stdout(ctx), "%s is at %s\n", target, directory);
    return 0;
}

/* Whether the error is one of a guest that is not up yet, or not yet all of it. */
static bool may_come(int error)
{
    return error == -EREMOTEIO || error == -ECONNREFUSED || error == -ECONNRESET ||
           error == -ETIMEDOUT || error == CROSH_ELOST;
}

/* Tries until the guest is there, unless somebody else does. */
static int mount_when_up(struct crosh_context *ctx, const struct crosh_args *args,
                         const struct sftp_where *where, struct crosh_error *err)
{
    const int64_t deadline = deadline_in(AUTO_WAIT_MS);
    int pause_ms = AUTO_PAUSE_MS;
    cleanup_close int lock = -1;

    if (where->vm == NULL)
        return crosh_error_set(err, CROSH_EUSAGE, "--auto is for guests: VM or VM/CONTAINER");
    lock = mounts_lock_auto(where->name, err);
    if (lock < 0)
        return lock == -EWOULDBLOCK ? 0 : lock;
    for (;;) {
        struct pollfd interrupt = {.fd = crosh_interrupt_fd(ctx), .events = POLLIN};
        int r = mount_it(ctx, args, where, err);

        if (r >= 0 || !may_come(r) || deadline_now() >= deadline ||
            crosh_priv_vm_probe(where->vm) == CROSH_VM_DEAD)
            return r;
        if (poll(&interrupt, 1, pause_ms) > 0)
            return crosh_error_set(err, -EINTR, "interrupted");
        pause_ms = pause_ms * 2 < AUTO_PAUSE_MAX_MS ? pause_ms * 2 : AUTO_PAUSE_MAX_MS;
    }
}

int sftp_run_mount(struct crosh_context *ctx, const struct crosh_args *args,
                   struct crosh_error *err)
{
    cleanup(sftp_where_fini) struct sftp_where where = {0};
    int r = sftp_where_find(&where, ctx, args, crosh_args_string(args, "target"), err);

    if (r < 0)
        return r;
    return crosh_args_has(args, "auto") != 0 ? mount_when_up(ctx, args, &where, err)
                                             : mount_it(ctx, args, &where, err);
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
static int await_end(struct crosh_context *ctx, const struct mount *mount, int64_t deadline,
                     struct crosh_error *err)
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
        if (deadline_now() >= deadline)
            return crosh_error_set(err, -ETIMEDOUT,
                                   "not all that was written to %s has been sent in time",
                                   mount->directory);
        if (poll(&interrupt, 1, END_POLL_MS) > 0)
            return crosh_error_set(err, -EINTR, "interrupted; the rest goes on by itself");
    }
}

static int umount_one(struct crosh_context *ctx, const struct mount *mount, int64_t deadline,
                      struct crosh_error *err)
{
    int r = mounts_unmount(mount->directory, err);

    if (r == 1) {
        crosh_warn(ctx, "programs are busy in %s: they keep the files that they have open",
                   mount->directory);
        return 0;
    }
    return r < 0 ? r : await_end(ctx, mount, deadline, err);
}

/* Whether the mount ends with what the word names: its VM, or its container in that. */
static bool ends_with(const struct mount *mount, const char *word)
{
    cleanup(sftp_where_fini) struct sftp_where wanted = {0};
    cleanup(sftp_where_fini) struct sftp_where where = {0};

    if (!mount->is_mounted || mount->vm == NULL)
        return false;
    if (strchr(word, '/') == NULL)
        return strcmp(mount->vm, word) == 0;
    return sftp_where_parse(&wanted, word, NULL) == 0 && wanted.container != NULL &&
           sftp_where_parse(&where, mount->target, NULL) == 0 && where.container != NULL &&
           strcmp(mount->vm, wanted.vm) == 0 && strcmp(where.container, wanted.container) == 0;
}

/* Those that end with it. The first that cannot be ended does not keep the others. */
static int umount_with(struct crosh_context *ctx, const struct mounts *mounts, const char *word,
                       int64_t deadline, struct crosh_error *err)
{
    int first = 0;

    for (size_t i = 0; i < mounts->count; i++) {
        const struct mount *mount = &mounts->mount[i];
        struct crosh_error own = {0};

        if (!ends_with(mount, word) || umount_one(ctx, mount, deadline, &own) >= 0 || first < 0)
            continue;
        *err = own;
        first = own.code;
    }
    return first;
}

int sftp_run_umount(struct crosh_context *ctx, const struct crosh_args *args,
                    struct crosh_error *err)
{
    const char *word = crosh_args_string(args, "target");
    const int64_t deadline = crosh_args_has(args, "timeout") != 0
                                 ? deadline_in(crosh_args_number(args, "timeout", 0) * 1000)
                                 : INT64_MAX;
    cleanup(mounts_fini) struct mounts mounts = {0};
    const struct mount *mount;
    int r = mounts_read(&mounts, err);

    if (r < 0)
        return r;
    if (crosh_args_has(args, "auto") != 0)
        return umount_with(ctx, &mounts, word, deadline, err);
    mount = find_mount(&mounts, word);
    if (mount == NULL) {
        (void)crosh_error_set(err, -ENOENT, "%s is not mounted", word);
        return crosh_error_hint(err, "see what is: sftp list");
    }
    return umount_one(ctx, mount, deadline, err);
}

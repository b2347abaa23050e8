/* SPDX-License-Identifier: MIT */
/* Walks paths a component at a time and judges each by owner and mode. */
#include "crosh/loader/secure-path.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/cleanup.h"

#define LINKS_MAX 40

/* Where the walk stands: at is the open directory whose path without links is resolved. */
struct walk {
    int at;
    char resolved[PATH_MAX];
    char rest[PATH_MAX]; /* what is still to be walked */
    int links;
    struct crosh_error *err;
};

/* Whether the group is the user's own: named like the user, its primary one, nobody else in it. */
static bool is_private_group(gid_t gid)
{
    uid_t uid = geteuid();
    struct passwd user, *user_found = NULL;
    struct group group, *group_found = NULL;
    char user_buf[4096], group_buf[4096];

    if (uid == 0 || getpwuid_r(uid, &user, user_buf, sizeof(user_buf), &user_found) != 0 ||
        user_found == NULL || user.pw_gid != gid ||
        getgrgid_r(gid, &group, group_buf, sizeof(group_buf), &group_found) != 0 ||
        group_found == NULL || strcmp(group.gr_name, user.pw_name) != 0)
        return false;
    for (char **member = group.gr_mem; *member != NULL; member++) {
        if (strcmp(*member, user.pw_name) != 0)
            return false;
    }
    return true;
}

/* Why others could tamper with it; NULL when they cannot. */
static const char *judge(const struct stat *st, bool sticky_suffices)
{
    if (st->st_uid != 0 && st->st_uid != geteuid())
        return "belongs to another user";
    if (sticky_suffices && S_ISDIR(st->st_mode) && (st->st_mode & S_ISVTX) != 0)
        return NULL;
    if ((st->st_mode & S_IWOTH) != 0)
        return "is writable to everybody";
    if ((st->st_mode & S_IWGRP) != 0 && !is_private_group(st->st_gid))
        return "is writable to its group";
    return NULL;
}

static int insecure(struct crosh_error *err, const char *path, const char *reason,
                    const struct stat *st)
{
    (void)crosh_error_set(err, -EACCES, "%s %s", path, reason);
    if (st->st_uid == 0 || st->st_uid == geteuid())
        (void)crosh_error_hint(err, "chmod go-w '%s'", path);
    return -EACCES;
}

static int judge_here(struct walk *walk, bool is_last)
{
    struct stat st;
    const char *reason;

    if (fstat(walk->at, &st) < 0)
        return crosh_error_errno(walk->err, "%s", walk->resolved);
    reason = judge(&st, !is_last);
    return reason == NULL
               ? 0
               : insecure(walk->err, walk->resolved[0] != '\0' ? walk->resolved : "/", reason, &st);
}

/* Puts a link's target in front of the rest of the path. */
static int follow_link(struct walk *walk, const char *name, const struct stat *st)
{
    char target[PATH_MAX], joined[PATH_MAX];
    ssize_t length;

    /* In a sticky directory anybody may have made the link. */
    if (st->st_uid != 0 && st->st_uid != geteuid())
        return crosh_error_set(walk->err, -EACCES, "the link %s/%s belongs to another user",
                               walk->resolved, name);
    if (++walk->links > LINKS_MAX)
        return crosh_error_set(walk->err, -ELOOP, "%s/%s: too many links", walk->resolved, name);
    length = readlinkat(walk->at, name, target, sizeof(target) - 1);
    if (length < 0)
        return crosh_error_errno(walk->err, "%s/%s", walk->resolved, name);
    target[length] = '\0';
    if ((size_t)snprintf(joined, sizeof(joined), "%s/%s", target, walk->rest) >= sizeof(joined))
        return crosh_error_set(walk->err, -ENAMETOOLONG, "%s/%s: the path is too long",
                               walk->resolved, name);
    memcpy(walk->rest, joined, sizeof(joined));
    if (target[0] == '/') {
        int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);

        if (root < 0)
            return crosh_error_errno(walk->err, "/");
        (void)close(walk->at);
        walk->at = root;
        walk->resolved[0] = '\0';
    }
    return 0;
}

static int enter(struct walk *walk, const char *name)
{
    size_t length = strlen(walk->resolved);
    cleanup_close int next = openat(walk->at, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    struct stat st;

    if (next < 0)
        return crosh_error_errno(walk->err, "%s/%s", walk->resolved, name);
    if (fstat(next, &st) < 0)
        return crosh_error_errno(walk->err, "%s/%s", walk->resolved, name);
    if (S_ISLNK(st.st_mode))
        return follow_link(walk, name, &st);
    if (!S_ISDIR(st.st_mode))
        return crosh_error_set(walk->err, -ENOTDIR, "%s/%s is no directory", walk->resolved, name);
    (void)close(walk->at);
    walk->at = move_fd(next);
    if (strcmp(name, "..") == 0) {
        char *slash = strrchr(walk->resolved, '/');

        if (slash != NULL)
            *slash = '\0';
        return 0;
    }
    if ((size_t)snprintf(walk->resolved + length, sizeof(walk->resolved) - length, "/%s", name) >=
        sizeof(walk->resolved) - length)
        return crosh_error_set(walk->err, -ENAMETOOLONG, "%s/%s: the path is too long",
                               walk->resolved, name);
    return 0;
}

/* Takes the next component off the rest of the path; false at its end. */
static bool next_component(struct walk *walk, char name[NAME_MAX + 2])
{
    char *start = walk->rest + strspn(walk->rest, "/");
    size_t length = strcspn(start, "/");

    if (length == 0)
        return false;
    /* One too long is cut to a length that openat() refuses. */
    (void)snprintf(name, NAME_MAX + 2, "%.*s", (int)(length > NAME_MAX + 1 ? NAME_MAX + 1 : length),
                   start);
    memmove(walk->rest, start + length, strlen(start + length) + 1);
    return true;
}

static int walk_path(struct walk *walk)
{
    char name[NAME_MAX + 2];

    while (next_component(walk, name)) {
        int r;

        if (strcmp(name, ".") == 0)
            continue;
        r = judge_here(walk, false);
        if (r == 0)
            r = enter(walk, name);
        if (r < 0)
            return r;
    }
    return judge_here(walk, true);
}

int secure_open_dir(const char *path, char **resolved, struct crosh_error *err)
{
    struct walk walk = {.at = -1, .err = err};
    cleanup_free char *cwd = NULL;
    int fd, r;

    if (path[0] != '/') {
        cwd = getcwd(NULL, 0);
        if (cwd == NULL)
            return crosh_error_errno(err, "current directory");
    }
    if ((size_t)snprintf(walk.rest, sizeof(walk.rest), "%s/%s", cwd != NULL ? cwd : "", path) >=
        sizeof(walk.rest))
        return crosh_error_set(err, -ENAMETOOLONG, "the path is too long");
    walk.at = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (walk.at < 0)
        return crosh_error_errno(err, "/");
    r = walk_path(&walk);
    fd = r < 0 ? r : openat(walk.at, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (r == 0 && fd < 0)
        fd = crosh_error_errno(err, "%s", walk.resolved);
    (void)close(walk.at);
    if (fd < 0)
        return fd;
    *resolved = strdup(walk.resolved[0] != '\0' ? walk.resolved : "/");
    if (*resolved == NULL) {
        (void)close(fd);
        return crosh_error_set(err, -ENOMEM, "out of memory");
    }
    return fd;
}

int secure_open_file(int dir_fd, const char *name, struct crosh_error *err)
{
    /* O_NONBLOCK: opening a fifo must not wait for its writer. */
    cleanup_close int fd = openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    const char *reason;
    struct stat st;

    if (fd < 0) {
        if (errno == ELOOP)
            return crosh_error_set(err, -ELOOP, "it is a symbolic link");
        return crosh_error_errno(err, "cannot open it");
    }
    if (fstat(fd, &st) < 0)
        return crosh_error_errno(err, "cannot judge it");
    if (!S_ISREG(st.st_mode))
        return crosh_error_set(err, -EACCES, "it is no regular file");
    reason = judge(&st, false);
    if (reason != NULL)
        return insecure(err, "the file", reason, &st);
    return move_fd(fd);
}

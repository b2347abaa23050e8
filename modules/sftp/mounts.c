/* SPDX-License-Identifier: MIT */
/* Keeps track of mounts in the runtime directory. */
#include "modules/sftp/mounts.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <mntent.h>
#include <paths.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <jansson.h>

#include <crosh/vm.h>

#include "lib/base/cleanup.h"
#include "lib/vm/dirs.h"
#include "modules/sftp/bookmarks.h"
#include "modules/sftp/places.h"

extern char **environ;

static char *mounts_dir(struct crosh_error *err)
{
    cleanup_free char *runtime = crosh_runtime_dir(err);
    char *path = NULL;

    if (runtime == NULL)
        return NULL;
    if (asprintf(&path, "%s/mounts", runtime) < 0) {
        (void)crosh_error_set(err, -ENOMEM, "out of memory");
        return NULL;
    }
    return path;
}

/* ---- Unmounting ---- */

/* fusermount3 may what we may not; root does without it as well, but it knows a file /etc/mtab. */
static int run_fusermount(const char *directory, bool is_lazy)
{
    const char *argv[] = {"fusermount3", "-u", "-q", "-z", "--", directory, NULL};
    const char *argv_plain[] = {"fusermount3", "-u", "-q", "--", directory, NULL};
    int status;
    pid_t pid;
    int r = posix_spawnp(&pid, "fusermount3", NULL, NULL,
                         (char *const *)(is_lazy ? argv : argv_plain), environ);

    if (r != 0)
        return -r;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EBUSY;
}

/* 0, -ENOENT: there is no fusermount3, or -EBUSY: it could not. Then root still can. */
static int unmount(const char *directory, bool is_lazy)
{
    int r = run_fusermount(directory, is_lazy);

    if ((r == -ENOENT || (r < 0 && is_lazy)) &&
        umount2(directory, UMOUNT_NOFOLLOW | (is_lazy ? MNT_DETACH : 0)) == 0)
        r = 0;
    return r;
}

int mounts_unmount(const char *directory, struct crosh_error *err)
{
    int busy = 0, r = unmount(directory, false);

    if (r < 0) {
        r = unmount(directory, true);
        busy = 1;
    }
    if (r == -ENOENT) {
        (void)crosh_error_set(err, r, "fusermount3 is not installed");
        return crosh_error_hint(err, "Debian, Ubuntu: sudo apt-get install fuse3");
    }
    if (r == 0)
        return busy;
    (void)crosh_error_set(err, r, "cannot unmount %s", directory);
    /* Of a user it asks there what is the user's to unmount. */
    return access(_PATH_MOUNTED, F_OK) == 0
               ? r
               : crosh_error_hint(err, "fusermount3 looks for it in " _PATH_MOUNTED
                                       ", which is not there: "
                                       "sudo ln -s ../proc/self/mounts " _PATH_MOUNTED);
}

/* Whether something of ours is mounted there: a dead mount is no directory to stat(2). */
static bool is_mounted(const char *directory)
{
    FILE *table = setmntent("/proc/self/mounts", "r");
    struct mntent *entry;
    bool found = false;

    if (table == NULL)
        return false;
    while (!found && (entry = getmntent(table)) != NULL)
        found = strcmp(entry->mnt_dir, directory) == 0 &&
                strcmp(entry->mnt_type, "fuse.crosh-sftp") == 0;
    (void)endmntent(table);
    return found;
}

/* ---- Their directories ---- */

void mounts_remove(const char *state)
{
    (void)crosh_priv_remove_tree(state, NULL);
}

static char *path_of(const char *state, const char *name)
{
    char *path;

    return asprintf(&path, "%s/%s", state, name) < 0 ? NULL : path;
}

static char *copy_text(const json_t *json, const char *key)
{
    const char *text = json_string_value(json_object_get(json, key));

    return text != NULL ? strdup(text) : NULL;
}

/* 1: *mount is one that is served; 0: it was a dead one, and is gone; negative. */
static int read_one(const char *state, struct mount *mount)
{
    cleanup_free char *lock_path = path_of(state, "lock");
    cleanup_free char *info_path = path_of(state, "info.json");
    cleanup_close int lock = -1;
    bool is_served, is_made;
    struct stat st;
    json_t *info;

    if (lock_path == NULL || info_path == NULL)
        return -ENOMEM;
    info = json_load_file(info_path, 0, NULL);
    *mount = (struct mount){.state = strdup(state),
                            .target = copy_text(info, "target"),
                            .directory = copy_text(info, "directory"),
                            .vm = copy_text(info, "vm")};
    is_made = json_is_true(json_object_get(info, "made"));
    json_decref(info);
    lock = open(lock_path, O_RDWR | O_CLOEXEC);
    is_served = lock >= 0 && flock(lock, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK;
    mount->is_mounted = mount->directory != NULL && is_mounted(mount->directory);
    if (is_served && fstat(lock, &st) == 0)
        mount->made_us = (int64_t)st.st_mtim.tv_sec * 1000000 + st.st_mtim.tv_nsec / 1000;
    if (is_served && mount->target != NULL && mount->directory != NULL)
        return 1;
    if (is_served)
        return 0; /* just being made */
    /* Left for another try. */
    if (mount->is_mounted && unmount(mount->directory, true) < 0)
        return 0;
    if (mount->directory != NULL) {
        (void)bookmarks_remove(mount->directory);
        (void)places_remove(mount->directory);
        /* Unless somebody has put something there, or mounted it again. */
        if (is_made)
            (void)rmdir(mount->directory);
    }
    mounts_remove(state);
    return 0;
}

static void mount_fini(struct mount *mount)
{
    free(mount->state);
    free(mount->target);
    free(mount->directory);
    free(mount->vm);
}

void mounts_fini(struct mounts *mounts)
{
    for (size_t i = 0; i < mounts->count; i++)
        mount_fini(&mounts->mount[i]);
    free(mounts->mount);
    *mounts = (struct mounts){0};
}

static int by_directory(const void *a, const void *b)
{
    const struct mount *one = a, *other = b;
    int r = strcmp(one->directory, other->directory);

    return r != 0 ? r : (one->made_us > other->made_us) - (one->made_us < other->made_us);
}

int mounts_read(struct mounts *mounts, struct crosh_error *err)
{
    cleanup_free char *path = mounts_dir(err);
    struct dirent *entry;
    DIR *dir;
    int r = 0;

    *mounts = (struct mounts){0};
    if (path == NULL)
        return err->code;
    dir = opendir(path);
    if (dir == NULL)
        return errno == ENOENT ? 0 : crosh_error_errno(err, "cannot read %s", path);
    while (r >= 0 && (entry = readdir(dir)) != NULL) {
        cleanup_free char *state = NULL;
        struct mount *more;
        struct mount one;

        if (entry->d_name[0] == '.')
            continue;
        state = path_of(path, entry->d_name);
        more = reallocarray(mounts->mount, mounts->count + 1, sizeof(*more));
        r = -ENOMEM;
        if (more == NULL)
            break;
        mounts->mount = more;
        if (state == NULL || (r = read_one(state, &one)) < 0)
            break;
        if (r == 1)
            mounts->mount[mounts->count++] = one;
        else
            mount_fini(&one);
    }
    (void)closedir(dir);
    if (r < 0) {
        mounts_fini(mounts);
        return crosh_error_set(err, r, "cannot read %s: %s", path, strerror(-r));
    }
    if (mounts->count > 1)
        qsort(mounts->mount, mounts->count, sizeof(*mounts->mount), by_directory);
    /* What is there now is what was mounted last; programs still have the others. */
    for (size_t i = 0; i + 1 < mounts->count; i++) {
        if (strcmp(mounts->mount[i].directory, mounts->mount[i + 1].directory) == 0)
            mounts->mount[i].is_mounted = false;
    }
    return 0;
}

char *mounts_new(const char *target, const char *directory, bool is_made, const char *vm, int *lock,
                 struct crosh_error *err)
{
    cleanup_free char *path = mounts_dir(err);
    cleanup_free char *lock_path = NULL;
    cleanup_free char *info_path = NULL;
    cleanup_free char *hidden = NULL;
    char *state = NULL;
    json_t *info;
    int r;

    if (path == NULL || crosh_priv_make_dirs(path, err) < 0)
        return NULL;
    /* Whoever reads the list removes what nobody has locked: it gets its name with the lock held.
     */
    if (asprintf(&hidden, "%s/.new-XXXXXX", path) < 0) {
        hidden = NULL;
        (void)crosh_error_set(err, -ENOMEM, "out of memory");
        return NULL;
    }
    if (mkdtemp(hidden) == NULL) {
        (void)crosh_error_errno(err, "cannot make a directory in %s", path);
        return NULL;
    }
    lock_path = path_of(hidden, "lock");
    info_path = path_of(hidden, "info.json");
    state = path_of(path, strrchr(hidden, '-') + 1);
    info = json_pack("{s:s, s:s, s:b, s:s*}", "target", target, "directory", directory, "made",
                     is_made, "vm", vm);
    *lock = lock_path != NULL ? open(lock_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600) : -1;
    r = *lock >= 0 && flock(*lock, LOCK_EX) == 0 && info != NULL && info_path != NULL &&
                state != NULL && json_dump_file(info, info_path, JSON_COMPACT) == 0
            ? rename(hidden, state)
            : -1;
    json_decref(info);
    if (r == 0)
        return state;
    (void)crosh_error_errno(err, "cannot write to %s", hidden);
    if (*lock >= 0)
        (void)close(move_fd(*lock));
    mounts_remove(hidden);
    free(state);
    return NULL;
}

int mounts_lock_auto(const char *name, struct crosh_error *err)
{
    cleanup_free char *dir = mounts_dir(err);
    cleanup_free char *path = NULL;
    cleanup_close int fd = -1;

    if (dir == NULL || crosh_priv_make_dirs(dir, err) < 0)
        return err->code;
    if (asprintf(&path, "%s/.auto-%s", dir, name) < 0) {
        path = NULL;
        return crosh_error_set(err, -ENOMEM, "out of memory");
    }
    /* A container's has its VM's in front. */
    for (char *at = path + strlen(dir) + 1; *at != '\0'; at++) {
        if (*at == '/')
            *at = ':';
    }
    fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return crosh_error_errno(err, "cannot make %s", path);
    if (flock(fd, LOCK_EX | LOCK_NB) < 0)
        return -EWOULDBLOCK;
    return move_fd(fd);
}

/* SPDX-License-Identifier: MIT */
/* The mounts of this user: who serves them, and what is left of those that died. */
#ifndef SFTP_MOUNTS_H
#define SFTP_MOUNTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <crosh/error.h>

/* Each mount has a directory in <runtime>/mounts: lock (held while it is served), info.json. */
struct mount {
    char *state; /* that directory */
    char *target, *directory;
    char *vm;        /* with whose stop it ends; NULL: with none */
    bool is_mounted; /* false: only programs that were busy in it still have it */
    int64_t made_us; /* when, by the clock on the wall */
};

struct mounts {
    struct mount *mount;
    size_t count;
};

/*
 * Those that are served; what a process that was killed has left is unmounted and removed
 * first. 0 or negative.
 */
int mounts_read(struct mounts *mounts, struct crosh_error *err);
void mounts_fini(struct mounts *mounts);

/*
 * Makes the directory of a new mount; vm as in struct mount. is_made: the directory where it is
 * goes with it. *lock is to be held, by inheritance, by who serves it. The path, on the heap, or
 * NULL.
 */
char *mounts_new(const char *target, const char *directory, bool is_made, const char *vm, int *lock,
                 struct crosh_error *err);
/*
 * A descriptor that holds the lock of who mounts the target automatically, by the name that it has
 * without a path; -EWOULDBLOCK: somebody does already; or negative with err.
 */
int mounts_lock_auto(const char *name, struct crosh_error *err);
/* Removes what mounts_new() made. */
void mounts_remove(const char *state);

/*
 * Unmounts. 1: programs are busy in it, and keep what they have open; its process goes on for
 * them. 0 or negative.
 */
int mounts_unmount(const char *directory, struct crosh_error *err);

#endif

/* SPDX-License-Identifier: MIT */
/* Namespaces of the launcher's own. */
#ifndef KVM_SANDBOX_NAMESPACES_H
#define KVM_SANDBOX_NAMESPACES_H

#include <stdbool.h>
#include <sys/types.h>

/* With whose leave namespaces are made. */
enum namespaces_leave {
    NAMESPACES_ROOTS,   /* root's: a user namespace can wait until all is open that root may open */
    NAMESPACES_USERS,   /* a user's: only inside a user namespace */
    NAMESPACES_NOBODYS, /* the host allows none */
};

/*
 * As fork(2); the child is the first process of a pid namespace where somebody's leave is
 * had, the best there is from *leave on. For a process with one thread.
 */
pid_t namespaces_fork(enum namespaces_leave *leave);

/*
 * In the child, first of all: the user is who it was. Negative: the host, after all, does
 * not let it; the child is of no use then, and is made again with the next leave.
 */
int namespaces_settle(enum namespaces_leave leave);

/*
 * Takes the process, which has one thread, away from the host's network, System V IPC,
 * host name and mounts; of all files there are left runtime_dir and, if there, /dev/kvm, by
 * the paths that they had. It keeps its user and group. *missing: a list, for people, of
 * what the host did not allow, on the heap; NULL: nothing. Negative errno with *what, the
 * step: half-way stuck.
 */
int namespaces_enter(enum namespaces_leave leave, const char *runtime_dir, char **missing,
                     const char **what);

/* As much of it as an emulator can live with, which is a program with files: not the mounts. */
int namespaces_enter_emulator(enum namespaces_leave leave, char **missing, const char **what);

/* Those that the process has entered, by the names that /proc has for them; a blank behind each. */
const char *namespaces_entered(void);

#endif

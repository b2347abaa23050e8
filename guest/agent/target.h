/* SPDX-License-Identifier: MIT */
/* Targets of a session: the VM itself, or a container in it; how to enter each. */
#ifndef AGENT_TARGET_H
#define AGENT_TARGET_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <crosh/error.h>

/* Longest label of AppArmor's that is taken over. */
#define TARGET_LABEL_MAX 512

struct target {
    bool is_container;
    bool has_own_users; /* the container maps its user ids */
    uid_t root_uid;     /* what its root is to us */
    gid_t root_gid;
    pid_t init;                   /* its first process, by our numbers */
    int pidfd;                    /* of that process; -1: the VM */
    int root;                     /* its root directory */
    char cgroup[256];             /* where that process is; empty: not known */
    char label[TARGET_LABEL_MAX]; /* its confinement by AppArmor; empty: none */
    uint64_t capabilities;        /* what its processes may have at most */
};

/*
 * Finds the target: "" or "vm_shell" is the VM, any other name a container, which LXD is asked
 * for. -ENOENT when there is none of that name, -ENOTCONN when it does not run. To be released with
 * target_fini() in any case.
 */
int target_open(struct target *target, const char *name, struct crosh_error *err);
void target_fini(struct target *target);

/* Has the children of this process be born among the container's processes. */
int target_adopt_children(const struct target *target, struct crosh_error *err);

/*
 * Moves this process, which has one thread, into the target: its users (as root), files,
 * network, control group; the next exec takes on its confinement.
 */
int target_enter(const struct target *target, struct crosh_error *err);

/* The directory of terminals of the target, to be given to pty_open(); -1 for our own. */
int target_terminals(const struct target *target, struct crosh_error *err);

/* A descriptor of the container's network namespace, or negative. */
int target_network(const struct target *target, struct crosh_error *err);

/* The process's number as the target's own processes see it. */
pid_t target_pid(const struct target *target, pid_t pid);

#endif

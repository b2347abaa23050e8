/* SPDX-License-Identifier: MIT */
/* Implements the entry into namespaces (namespaces(7), user_namespaces(7)). */
#include "kvm/sandbox/namespaces.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kvm/sandbox/private-root.h"
#include "lib/base/cleanup.h"

/* Unix sockets with paths know no network namespace: ours are reached as before. */
static const struct {
    int flag;
    const char *name, *proc_name;
} spaces[] = {{CLONE_NEWNET, "network", "net "},
              {CLONE_NEWIPC, "IPC", "ipc "},
              {CLONE_NEWUTS, "UTS", "uts "},
              {CLONE_NEWNS, "mount", "mnt "}};
#define SPACES (sizeof(spaces) / sizeof(spaces[0]))

static int write_file(const char *path, const char *text)
{
    cleanup_close int fd = open(path, O_WRONLY | O_CLOEXEC);

    if (fd < 0 || write(fd, text, strlen(text)) < 0)
        return -errno;
    return 0;
}

/* The user is who it was, and nobody else is there. */
static int map_ids(uid_t uid, gid_t gid)
{
    char map[32];
    int code;

    (void)snprintf(map, sizeof(map), "%u %u 1\n", uid, uid);
    code = write_file("/proc/self/uid_map", map);
    if (code == 0)
        code = write_file("/proc/self/setgroups", "deny");
    (void)snprintf(map, sizeof(map), "%u %u 1\n", gid, gid);
    if (code == 0)
        code = write_file("/proc/self/gid_map", map);
    return code;
}

/* Who the process is outside: inside it has no name before it is mapped. */
static uid_t outer_uid;
static gid_t outer_gid;

/* libc's fork() knows no namespaces. It would renew what libc notes of threads: there are none. */
static pid_t fork_into(unsigned long flags)
{
    return (pid_t)syscall(SYS_clone, flags | SIGCHLD, NULL, NULL, NULL, NULL);
}

pid_t namespaces_fork(enum namespaces_leave *leave)
{
    static const unsigned long flags[] = {[NAMESPACES_ROOTS] = CLONE_NEWPID,
                                          [NAMESPACES_USERS] = CLONE_NEWPID | CLONE_NEWUSER,
                                          [NAMESPACES_NOBODYS] = 0};

    outer_uid = geteuid();
    outer_gid = getegid();
    for (;; (*leave)++) {
        pid_t pid = fork_into(flags[*leave]);

        if (pid >= 0 || *leave == NAMESPACES_NOBODYS)
            return pid;
    }
}

int namespaces_settle(enum namespaces_leave leave)
{
    return leave == NAMESPACES_USERS ? map_ids(outer_uid, outer_gid) : 0;
}

/* The process's own; written while it has one thread. */
static char entered_names[64];

static void add_entered(const char *proc_name)
{
    (void)strncat(entered_names, proc_name, sizeof(entered_names) - strlen(entered_names) - 1);
}

const char *namespaces_entered(void)
{
    return entered_names;
}

/* All of the wanted ones at once where that can be; else what can. Returns those that it is in. */
static int unshare_spaces(int wanted)
{
    int entered = 0;

    if (unshare(wanted) == 0)
        return wanted;
    for (size_t i = 0; i < SPACES; i++) {
        if ((wanted & spaces[i].flag) != 0 && unshare(spaces[i].flag) == 0)
            entered |= spaces[i].flag;
    }
    return entered;
}

static void add_missing(char **missing, const char *name)
{
    char *longer = NULL;

    if (asprintf(&longer, "%s%s%s", *missing != NULL ? *missing : "", *missing != NULL ? ", " : "",
                 name) < 0)
        return;
    free(*missing);
    *missing = longer;
}

/* Enters the wanted ones. Those that it is in, or negative errno with *what: half-way stuck. */
static int enter(enum namespaces_leave leave, int wanted, char **missing, const char **what)
{
    uid_t uid = geteuid();
    gid_t gid = getegid();
    bool has_user = leave == NAMESPACES_USERS;
    int entered = 0, code = 0;

    *missing = NULL;
    *what = "user namespace";
    if (leave == NAMESPACES_ROOTS && unshare(CLONE_NEWUSER) == 0) {
        has_user = true;
        code = map_ids(uid, gid);
    }
    if (code < 0)
        return code;
    if (leave != NAMESPACES_NOBODYS) {
        add_entered("pid ");
        entered = unshare_spaces(wanted);
    } else {
        add_missing(missing, "pid");
    }
    if (has_user)
        add_entered("user ");
    else
        add_missing(missing, "user");
    for (size_t i = 0; i < SPACES; i++) {
        if ((entered & spaces[i].flag) != 0)
            add_entered(spaces[i].proc_name);
        else if ((wanted & spaces[i].flag) != 0)
            add_missing(missing, spaces[i].name);
    }
    return entered;
}

int namespaces_enter(enum namespaces_leave leave, const char *runtime_dir, char **missing,
                     const char **what)
{
    int entered =
        enter(leave, CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWNS, missing, what);

    if (entered < 0)
        return entered;
    return (entered & CLONE_NEWNS) != 0 ? private_root_enter(runtime_dir, what) : 0;
}

int namespaces_enter_emulator(enum namespaces_leave leave, char **missing, const char **what)
{
    int entered = enter(leave, CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS, missing, what);

    return entered < 0 ? entered : 0;
}

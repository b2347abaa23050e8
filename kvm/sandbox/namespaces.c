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
    const char *name;
} spaces[] = {{CLONE_NEWNET, "network"},
              {CLONE_NEWIPC, "IPC"},
              {CLONE_NEWUTS, "UTS"},
              {CLONE_NEWNS, "mount"}};
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

/* All at once where that can be; else what can. Returns those that it is in. */
static int unshare_spaces(void)
{
    int all = 0, entered = 0;

    for (size_t i = 0; i < SPACES; i++)
        all |= spaces[i].flag;
    if (unshare(all) == 0)
        return all;
    for (size_t i = 0; i < SPACES; i++) {
        if (unshare(spaces[i].flag) == 0)
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

int namespaces_enter(enum namespaces_leave leave, const char *runtime_dir, char **missing,
                     const char **what)
{
    uid_t uid = geteuid();
    gid_t gid = getegid();
    int entered, code = 0;

    *missing = NULL;
    if (leave == NAMESPACES_NOBODYS) {
        add_missing(missing, "user, pid");
        entered = 0;
    } else {
        *what = "user namespace";
        if (leave == NAMESPACES_ROOTS && unshare(CLONE_NEWUSER) < 0)
            add_missing(missing, "user");
        else if (leave == NAMESPACES_ROOTS)
            code = map_ids(uid, gid);
        if (code < 0)
            return code;
        entered = unshare_spaces();
    }
    for (size_t i = 0; i < SPACES; i++) {
        if ((entered & spaces[i].flag) == 0)
            add_missing(missing, spaces[i].name);
    }
    return (entered & CLONE_NEWNS) != 0 ? private_root_enter(runtime_dir, what) : 0;
}

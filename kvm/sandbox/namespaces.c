/* SPDX-License-Identifier: MIT */
/* Implements the entry into namespaces (user_namespaces(7)). */
#include "kvm/sandbox/namespaces.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "lib/base/cleanup.h"

/* Unix sockets with paths know no network namespace: ours are reached as before. */
#define SPACES (CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWNS)

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

int namespaces_enter(void)
{
    uid_t uid = geteuid();
    gid_t gid = getegid();

    if (unshare(CLONE_NEWUSER | SPACES) == 0) {
        /* Files made from now on belong to the user only if it has a name in here. */
        if (map_ids(uid, gid) < 0)
            return -EIO;
    } else if (unshare(SPACES) < 0) { /* root can without a user namespace */
        return -errno;
    }
    /* What the host mounts and unmounts is followed, so that nothing of it is held busy. */
    return mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0 ? -EIO : 0;
}

/* SPDX-License-Identifier: MIT */
/* Mounting at the start, unmounting at the end. */
#include "guest/agent/mounts.h"

#include <errno.h>
#include <mntent.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "guest/agent/log.h"
#include "lib/base/cleanup.h"
#include "lib/base/deadline.h"

struct mount_entry {
    const char *source;
    const char *target;
    const char *type;
    unsigned long flags;
    const char *data;
};

static const struct mount_entry entries[] = {
    {"proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL},
    {"sysfs", "/sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL},
    {"devtmpfs", "/dev", "devtmpfs", MS_NOSUID, "mode=755"},
    {"devpts", "/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "mode=620,gid=5,ptmxmode=666"},
    {"tmpfs", "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777"},
    {"tmpfs", "/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=755"},
    {"tmpfs", "/tmp", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777"},
    {"cgroup2", "/sys/fs/cgroup", "cgroup2", MS_NOSUID | MS_NODEV | MS_NOEXEC, "nsdelegate"},
};

/* What programs expect in /dev beyond the kernel's own nodes. */
static const struct {
    const char *target;
    const char *path;
} links[] = {
    {"/proc/self/fd", "/dev/fd"},
    {"/proc/self/fd/0", "/dev/stdin"},
    {"/proc/self/fd/1", "/dev/stdout"},
    {"/proc/self/fd/2", "/dev/stderr"},
};

void mounts_make(void)
{
    for (size_t i = 0; i < sizeof(entries) / sizeof(*entries); i++) {
        const struct mount_entry *entry = &entries[i];

        /* sysfs takes no directories, and has those that are mounted on. */
        if (mkdir(entry->target, 0755) < 0 && errno != EEXIST && errno != EPERM)
            agent_log_errno("cannot make %s", entry->target);
        if (mount(entry->source, entry->target, entry->type, entry->flags, entry->data) < 0 &&
            errno != EBUSY)
            agent_log_errno("cannot mount %s", entry->target);
    }
    for (size_t i = 0; i < sizeof(links) / sizeof(*links); i++) {
        if (symlink(links[i].target, links[i].path) < 0 && errno != EEXIST)
            agent_log_errno("cannot make %s", links[i].path);
    }
}

/* The kernel's own views hold no data; taking them away only blinds what follows. */
static bool is_kernel_view(const char *type)
{
    static const char *const types[] = {"proc", "sysfs", "devtmpfs", "devpts", "cgroup2", "rootfs"};

    for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++) {
        if (strcmp(types[i], type) == 0)
            return true;
    }
    return false;
}

static void free_names(char ***names)
{
    for (char **name = *names; name != NULL && *name != NULL; name++)
        free(*name);
    free(*names);
}

/* A directory of the host's. Where its server is gone, no call on it may ever come back. */
static bool is_shared(const char *type)
{
    return strcmp(type, "virtiofs") == 0;
}

/* The mount points to leave, shared ones or the others, in the order of their mounting;
   NULL-terminated. */
static char **list_mounts(bool shared, size_t *count)
{
    FILE *f = setmntent("/proc/self/mounts", "re");
    char **names = calloc(1, sizeof(*names));
    struct mntent *entry;

    *count = 0;
    while (f != NULL && names != NULL && (entry = getmntent(f)) != NULL) {
        char **grown;

        if (is_kernel_view(entry->mnt_type) || is_shared(entry->mnt_type) != shared)
            continue;
        grown = realloc(names, (*count + 2) * sizeof(*names));
        if (grown == NULL)
            break;
        names = grown;
        names[*count + 1] = NULL;
        names[*count] = strdup(entry->mnt_dir);
        if (names[*count] == NULL)
            break;
        (*count)++;
    }
    if (f != NULL)
        (void)endmntent(f);
    return names;
}

/* False: the process, which unmounts, has had its time. */
static bool wait_for(pid_t pid, int64_t deadline)
{
    sigset_t mask;

    (void)sigemptyset(&mask);
    (void)sigaddset(&mask, SIGCHLD);
    while (waitpid(pid, NULL, WNOHANG) == 0) {
        int64_t left = deadline - deadline_now();
        struct timespec wait = {.tv_sec = left / 1000, .tv_nsec = left % 1000 * 1000000};

        if (left <= 0)
            return false;
        (void)sigtimedwait(&mask, NULL, &wait);
    }
    return true;
}

bool mounts_end_shared(int timeout_ms)
{
    const int64_t deadline = deadline_now() + timeout_ms;
    bool all_answer = true;
    size_t count;
    cleanup(free_names) char **names = list_mounts(true, &count);
    cleanup_free pid_t *pids = calloc(count + 1, sizeof(*pids));

    /* By processes beside each other, as one that waits for a server cannot be interrupted. */
    for (size_t i = count; i-- > 0 && pids != NULL;) {
        pids[i] = fork();
        if (pids[i] == 0)
            _exit(umount2(names[i], UMOUNT_NOFOLLOW) == 0 ? 0 : 1);
    }
    for (size_t i = 0; i < count && pids != NULL; i++) {
        if (pids[i] < 0 || wait_for(pids[i], deadline))
            continue;
        agent_log("the host does not answer for %s: it is left as it is", names[i]);
        all_answer = false;
    }
    return all_answer;
}

void mounts_end(void)
{
    size_t count;
    cleanup(free_names) char **names = list_mounts(false, &count);

    if (names == NULL)
        return;
    while (count-- > 0) {
        const char *name = names[count];

        if (strcmp(name, "/") != 0 && umount2(name, 0) == 0)
            continue;
        (void)mount(NULL, name, NULL, MS_REMOUNT | MS_RDONLY, NULL);
    }
}

/* SPDX-License-Identifier: MIT */
/* Finding targets, and moving processes into containers. */
#include "guest/agent/target.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/openat2.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "guest/agent/lxd.h"
#include "lib/base/cleanup.h"
#include "lib/wire/ports.h"

/*
 * A process enters a container by the namespaces of the container's first process. Nothing of
 * the container's is trusted on the way: its files are only looked at from inside, or by
 * openat2(2) that cannot leave its root; and until the exec our process cannot be
 * traced from there, as the kernel keeps its memory the VM's own.
 */

#define CAPABILITIES_MAX 64

/* Reads the beginning of a file of /proc/PID into text, ended by NUL. */
static int read_proc(pid_t pid, const char *name, char *text, size_t size)
{
    cleanup_close int fd = -1;
    char path[64];
    ssize_t n;

    (void)snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    n = read(fd, text, size - 1);
    if (n < 0)
        return -errno;
    text[n] = '\0';
    return 0;
}

/* Whether the process has another namespace of that name than we have. */
static bool differs(pid_t pid, const char *name)
{
    struct stat ours, theirs;
    char path[64];

    (void)snprintf(path, sizeof(path), "/proc/%d/ns/%s", (int)pid, name);
    if (stat(path, &theirs) < 0)
        return false;
    (void)snprintf(path, sizeof(path), "/proc/self/ns/%s", name);
    return stat(path, &ours) == 0 && (ours.st_ino != theirs.st_ino || ours.st_dev != theirs.st_dev);
}

/* What a container's id 0 is to us: lines of "INSIDE OUTSIDE COUNT". 0 when it is nothing. */
static unsigned int outside_of_root(pid_t pid, const char *map)
{
    char text[4096];
    char *line = text;

    if (read_proc(pid, map, text, sizeof(text)) < 0)
        return 0;
    while (line != NULL && *line != '\0') {
        unsigned int inside, outside, count;

        if (sscanf(line, "%u %u %u", &inside, &outside, &count) == 3 && inside == 0)
            return outside;
        line = strchr(line, '\n');
        line = line != NULL ? line + 1 : NULL;
    }
    return 0;
}

/* The control group of the second version's tree, which LXD uses. */
static void read_cgroup(struct target *target)
{
    char text[4096];
    char *line;

    if (read_proc(target->init, "cgroup", text, sizeof(text)) < 0)
        return;
    line = strncmp(text, "0::", 3) == 0 ? text : strstr(text, "\n0::");
    if (line == NULL)
        return;
    line += *line == '\n' ? 4 : 3;
    line[strcspn(line, "\n")] = '\0';
    if (strlen(line) < sizeof(target->cgroup))
        (void)strcpy(target->cgroup, line);
}

/* "PROFILE (enforce)"; what is not confined needs no label. */
static void read_label(struct target *target)
{
    char text[TARGET_LABEL_MAX];
    char *mode;

    /* Other security modules have files of that name, too: this one is AppArmor's alone. */
    if (read_proc(target->init, "attr/apparmor/current", text, sizeof(text)) < 0)
        return;
    text[strcspn(text, "\n")] = '\0';
    mode = strstr(text, " (");
    if (mode != NULL)
        *mode = '\0';
    if (strcmp(text, "unconfined") != 0)
        (void)strcpy(target->label, text);
}

static int read_capabilities(struct target *target, struct crosh_error *err)
{
    char text[8192];
    const char *line;

    if (read_proc(target->init, "status", text, sizeof(text)) < 0 ||
        (line = strstr(text, "\nCapBnd:")) == NULL)
        return crosh_error_set(err, -ENOTCONN, "the container has ended");
    target->capabilities = strtoull(line + strlen("\nCapBnd:"), NULL, 16);
    return 0;
}

/*
 * Whether the process is that container's, as far as its control group tells: LXD knows containers
 * of other machines, too, when it is in a cluster, and gives numbers of processes of theirs.
 */
static bool is_of(const struct target *target, const char *name)
{
    static const char payload[] = "/lxc.payload.";
    const char *at = strstr(target->cgroup, payload);

    if (at == NULL)
        return target->cgroup[0] == '\0';
    at += strlen(payload);
    if (strncmp(at, name, strlen(name)) != 0)
        return false;
    at += strlen(name);
    /* A group of that name that is still there makes the next one "NAME-1". */
    if (*at == '-')
        at += 1 + strspn(at + 1, "0123456789");
    return *at == '\0' || *at == '/';
}

int target_open(struct target *target, const char *name, struct crosh_error *err)
{
    char path[64];
    int r;

    *target = (struct target){.pidfd = -1, .root = -1};
    if (*name == '\0' || strcmp(name, VSH_TARGET_VM) == 0)
        return 0;
    target->is_container = true;
    target->init = lxd_container_init(name, err);
    if (target->init < 0)
        return target->init;
    target->pidfd = pidfd_open(target->init, 0);
    (void)snprintf(path, sizeof(path), "/proc/%d/root", (int)target->init);
    target->root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    /* A number that went to another process meanwhile is one of the VM's own. */
    if (target->pidfd < 0 || target->root < 0 || !differs(target->init, "pid"))
        return crosh_error_set(err, -ENOTCONN, "container %s is not running", name);
    target->has_own_users = differs(target->init, "user");
    target->root_uid = outside_of_root(target->init, "uid_map");
    target->root_gid = outside_of_root(target->init, "gid_map");
    read_cgroup(target);
    if (!is_of(target, name))
        return crosh_error_set(err, -ENOTCONN, "container %s is not in this VM", name);
    read_label(target);
    r = read_capabilities(target, err);
    return r;
}

void target_fini(struct target *target)
{
    if (target->pidfd >= 0)
        (void)close(move_fd(target->pidfd));
    if (target->root >= 0)
        (void)close(move_fd(target->root));
}

int target_adopt_children(const struct target *target, struct crosh_error *err)
{
    if (target->is_container && setns(target->pidfd, CLONE_NEWPID) < 0)
        return crosh_error_errno(err, "cannot enter the container's processes");
    return 0;
}

/* Where its limits hold, and what ends with it. */
static int join_cgroup(const struct target *target, struct crosh_error *err)
{
    cleanup_free char *path = NULL;
    cleanup_close int fd = -1;

    if (target->cgroup[0] == '\0')
        return 0;
    if (asprintf(&path, "/sys/fs/cgroup%s/cgroup.procs", target->cgroup) < 0) {
        path = NULL;
        return crosh_error_set(err, -ENOMEM, "out of memory");
    }
    fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, "0", 1) < 0)
        return crosh_error_errno(err, "cannot join the container's control group");
    return 0;
}

static int take_label(const struct target *target, struct crosh_error *err)
{
    cleanup_close int fd = -1;
    char text[TARGET_LABEL_MAX + 8];
    int length;

    if (target->label[0] == '\0')
        return 0;
    length = snprintf(text, sizeof(text), "exec %s", target->label);
    fd = open("/proc/thread-self/attr/apparmor/exec", O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, text, (size_t)length) < 0)
        return crosh_error_errno(err, "cannot take on the container's confinement");
    return 0;
}

static int drop_capabilities(const struct target *target, struct crosh_error *err)
{
    for (int i = 0; i < CAPABILITIES_MAX; i++) {
        if ((target->capabilities >> i & 1) == 0 && prctl(PR_CAPBSET_READ, i, 0, 0, 0) == 1 &&
            prctl(PR_CAPBSET_DROP, i, 0, 0, 0) < 0)
            return crosh_error_errno(err, "cannot give up what the container has not");
    }
    return 0;
}

int target_enter(const struct target *target, struct crosh_error *err)
{
    int spaces = CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWNET | CLONE_NEWCGROUP;
    int r;

    if (!target->is_container)
        return 0;
    r = join_cgroup(target, err);
    if (r == 0)
        r = take_label(target, err);
    if (r < 0)
        return r;
    if (target->has_own_users)
        spaces |= CLONE_NEWUSER;
    if (setns(target->pidfd, spaces) < 0)
        return crosh_error_errno(err, "cannot enter the container");
    if (setgroups(0, NULL) < 0 || setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0)
        return crosh_error_errno(err, "cannot become the container's root");
    return drop_capabilities(target, err);
}

int target_terminals(const struct target *target, struct crosh_error *err)
{
    struct open_how how = {
        .flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
        .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
    };
    long fd;

    if (!target->is_container)
        return -1;
    fd = syscall(SYS_openat2, target->root, "dev/pts", &how, sizeof(how));
    if (fd < 0)
        return crosh_error_errno(err, "the container has no terminals");
    return (int)fd;
}

int target_network(const struct target *target, struct crosh_error *err)
{
    char path[64];
    int fd;

    (void)snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)target->init);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    return fd >= 0 ? fd : crosh_error_errno(err, "cannot look at the container's network");
}

pid_t target_pid(const struct target *target, pid_t pid)
{
    char text[8192];
    char *line;

    if (!target->is_container || read_proc(pid, "status", text, sizeof(text)) < 0 ||
        (line = strstr(text, "\nNSpid:")) == NULL)
        return pid;
    line += strlen("\nNSpid:");
    line[strcspn(line, "\n")] = '\0';
    for (const char *c = line; *c != '\0'; c++) {
        if (isdigit((unsigned char)*c) && !isdigit((unsigned char)c[-1]))
            pid = (pid_t)strtol(c, NULL, 10);
    }
    return pid;
}

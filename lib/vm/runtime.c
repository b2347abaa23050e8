/* SPDX-License-Identifier: MIT */
/* A VM's runtime directory: locks, liveness, and cleaning up after a launcher that was killed. */
#include "lib/vm/runtime.h"

#include <crosh/vm.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/base/deadline.h"
#include "lib/vm/dirs.h"

#define LOCK_POLL_MS   20
#define ENDED_MAX_SIZE 8192
#define RECORD_MAX     4096

int crosh_priv_vm_runtime_open(const char *name, struct crosh_error *err)
{
    cleanup_free char *path = crosh_vm_runtime_dir(name, err);

    if (path == NULL)
        return err != NULL && err->code != 0 ? err->code : -EIO;
    return crosh_priv_dir_open(path, err);
}

/* The VM's data directory, in which its locks are. */
static int open_data(const char *name)
{
    cleanup_free char *path = crosh_vm_dir(name);

    return path != NULL ? open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) : -1;
}

char *crosh_priv_vm_runtime_recorded(const char *name)
{
    cleanup_close int data_fd = open_data(name);
    cleanup_close int fd = -1;
    char record[RECORD_MAX];
    ssize_t size;

    if (data_fd < 0)
        return NULL;
    fd = openat(data_fd, "lock", O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    size = fd >= 0 ? read(fd, record, sizeof(record)) : -1;
    /* One whole line, or nothing: a launcher may be about to write it. */
    if (size < 2 || record[0] != '/' || record[size - 1] != '\n')
        return NULL;
    return strndup(record, (size_t)size - 1);
}

/* The directory if it is this user's alone. */
static int open_own(const char *path)
{
    cleanup_close int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    struct stat st;

    if (fd < 0 || fstat(fd, &st) < 0 || st.st_uid != geteuid() || (st.st_mode & 077) != 0)
        return -1;
    return move_fd(fd);
}

int crosh_priv_vm_runtime_find(const char *name, struct crosh_error *err)
{
    cleanup_free char *recorded = crosh_priv_vm_runtime_recorded(name);
    cleanup_free char *path = NULL;
    int fd = recorded != NULL ? open_own(recorded) : -1;

    if (fd >= 0)
        return fd;
    path = crosh_vm_runtime_dir(name, err);
    if (path == NULL)
        return err != NULL && err->code != 0 ? err->code : -EIO;
    fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return fd >= 0 ? fd : crosh_error_errno(err, "cannot open %s", path);
}

static int open_lock(int dir_fd, const char *name)
{
    return openat(dir_fd, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
}

/* Whether fd is still the file of that name: its directory may have been destroyed meanwhile. */
static bool is_current(int dir_fd, const char *name, int fd)
{
    struct stat here;
    struct stat there;

    return fstat(fd, &here) == 0 && fstatat(dir_fd, name, &there, AT_SYMLINK_NOFOLLOW) == 0 &&
           here.st_ino == there.st_ino && here.st_dev == there.st_dev;
}

int crosh_priv_vm_operation_lock(const char *name, int timeout_ms, struct crosh_error *err)
{
    const int64_t deadline = deadline_in(timeout_ms);
    cleanup_free char *path = crosh_vm_dir(name);

    if (path == NULL)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    for (;;) {
        int rc = crosh_priv_make_dirs(path, err);
        cleanup_close int dir_fd = rc == 0 ? open_data(name) : -1;
        cleanup_close int fd = -1;

        if (rc < 0)
            return rc;
        fd = dir_fd >= 0 ? open_lock(dir_fd, "op.lock") : -1;
        if (fd < 0 && errno != ENOENT)
            return crosh_error_errno(err, "cannot open the lock of VM %s", name);
        if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0) {
            if (is_current(dir_fd, "op.lock", fd))
                return move_fd(fd);
        } else if (fd >= 0 && errno != EWOULDBLOCK && errno != EINTR) {
            return crosh_error_errno(err, "cannot lock VM %s", name);
        }
        if (deadline_now() >= deadline)
            break;
        (void)poll(NULL, 0, LOCK_POLL_MS);
    }
    crosh_error_set(err, -EBUSY, "VM %s is being started or changed by another command", name);
    (void)crosh_error_hint(err, "wait for it, or end the VM: vmc stop %s", name);
    return -EBUSY;
}

/* Says in "ended" that the launcher died without doing so itself. */
static void write_killed(int dir_fd)
{
    char line[160];
    cleanup_close int fd = -1;
    int length;

    /* A launcher removes the word of the run before: one that is there is of this run. */
    fd = openat(dir_fd, "ended", O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return;
    length = snprintf(line, sizeof(line),
                      "{\"reason\":\"killed\",\"detail\":\"the launcher was killed\","
                      "\"status\":-1,\"time\":%lld}\n",
                      (long long)time(NULL));
    if (write(fd, line, (size_t)length) != length)
        (void)unlinkat(dir_fd, "ended", 0); /* no word is better than half of one */
}

/* Whether nobody holds "lock" of the directory. */
static bool is_free(int dir_fd, int how)
{
    cleanup_close int lock = openat(dir_fd, "lock", O_RDWR | O_NOFOLLOW | O_CLOEXEC);

    return lock < 0 || flock(lock, how | LOCK_NB) == 0;
}

/* A live launcher unlinks its sockets and pid at its end; what is there still is a dead one's. */
static void remove_leftovers(const char *name)
{
    cleanup_close int dir_fd = crosh_priv_vm_runtime_find(name, NULL);
    DIR *dir;
    const struct dirent *entry;
    bool was_killed = false;
    int copy;

    /* The directory of a VM of this name from another data directory is not ours to clean. */
    if (dir_fd < 0 || !is_free(dir_fd, LOCK_SH))
        return;
    copy = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (copy < 0)
        return;
    dir = fdopendir(copy);
    if (dir == NULL) {
        (void)close(copy);
        return;
    }
    while ((entry = readdir(dir)) != NULL) {
        struct stat st;

        if (fstatat(dir_fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
            continue;
        if (strcmp(entry->d_name, "pid") != 0 && !S_ISSOCK(st.st_mode))
            continue;
        was_killed = true;
        (void)unlinkat(dir_fd, entry->d_name, 0);
    }
    (void)closedir(dir);
    if (was_killed)
        write_killed(dir_fd);
}

enum crosh_vm_liveness crosh_priv_vm_probe_locked(const char *name)
{
    cleanup_close int data_fd = open_data(name);

    if (data_fd >= 0 && !is_free(data_fd, LOCK_EX))
        return CROSH_VM_ALIVE;
    remove_leftovers(name);
    return CROSH_VM_DEAD;
}

enum crosh_vm_liveness crosh_priv_vm_probe(const char *name)
{
    cleanup_close int data_fd = open_data(name);
    cleanup_close int op = -1;

    if (data_fd < 0)
        return CROSH_VM_DEAD;
    op = open_lock(data_fd, "op.lock");
    if (op < 0)
        return CROSH_VM_DEAD;
    if (flock(op, LOCK_SH | LOCK_NB) < 0)
        return CROSH_VM_CHANGING;
    if (!is_free(data_fd, LOCK_SH))
        return CROSH_VM_ALIVE;
    /* Several may probe at once, one may clean: the rest leave it to that one. */
    if (flock(op, LOCK_EX | LOCK_NB) == 0)
        remove_leftovers(name);
    return CROSH_VM_DEAD;
}

pid_t crosh_priv_vm_holder(const char *name)
{
    cleanup_fclose FILE *table = fopen("/proc/locks", "re");
    cleanup_close int data_fd = open_data(name);
    char line[256];
    struct stat st;

    if (table == NULL || data_fd < 0 || fstatat(data_fd, "lock", &st, AT_SYMLINK_NOFOLLOW) < 0)
        return -1;
    /* "12: FLOCK  ADVISORY  WRITE 4711 00:2a:1234 0 EOF"; waiters have "->" after the number. */
    while (fgets(line, sizeof(line), table) != NULL) {
        unsigned int major_id;
        unsigned int minor_id;
        unsigned long inode;
        int pid;

        if (sscanf(line, "%*d: FLOCK ADVISORY WRITE %d %x:%x:%lu", &pid, &major_id, &minor_id,
                   &inode) == 4 &&
            inode == st.st_ino && major_id == major(st.st_dev) && minor_id == minor(st.st_dev) &&
            pid > 0)
            return pid;
    }
    return -1;
}

int crosh_priv_vm_ended_read(const char *name, struct crosh_vm_ended *ended)
{
    cleanup_close int dir_fd = crosh_priv_vm_runtime_find(name, NULL);
    cleanup_close int fd = -1;
    char text[ENDED_MAX_SIZE];
    ssize_t size;
    json_t *root;
    const char *reason = NULL;
    const char *detail = "";
    int status = -1;
    json_int_t when = 0;

    memset(ended, 0, sizeof(*ended));
    if (dir_fd < 0)
        return 0;
    fd = openat(dir_fd, "ended", O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return 0;
    size = read(fd, text, sizeof(text));
    if (size <= 0)
        return 0;
    root = json_loadb(text, (size_t)size, 0, NULL);
    if (root == NULL)
        return 0;
    if (json_unpack(root, "{s:s, s?s, s?i, s?I}", "reason", &reason, "detail", &detail, "status",
                    &status, "time", &when) == 0) {
        (void)snprintf(ended->reason, sizeof(ended->reason), "%s", reason);
        (void)snprintf(ended->detail, sizeof(ended->detail), "%s", detail);
        ended->status = status;
        ended->time = (int64_t)when;
    }
    json_decref(root);
    return ended->reason[0] != '\0';
}

/* SPDX-License-Identifier: MIT */
/* Implements the locks of a running VM (flock(2)). */
#include "kvm/vm-lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "lib/base/cleanup.h"

/* A probe of another command's takes the lock for a moment, and may meet us there. */
enum { TRIES = 20, TRY_PAUSE_US = 5000 };

static int lock_file(const char *path, int *lock_fd)
{
    cleanup_close int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

    if (fd < 0)
        return -errno;
    for (int tries = 0; flock(fd, LOCK_EX | LOCK_NB) < 0; tries++) {
        if ((errno != EWOULDBLOCK && errno != EINTR) || tries == TRIES)
            return errno == EWOULDBLOCK ? -EBUSY : -errno;
        (void)usleep(TRY_PAUSE_US);
    }
    *lock_fd = move_fd(fd);
    return 0;
}

/* One line, in one call: who reads it meanwhile sees all of it or nothing. */
static int write_record(int fd, const char *runtime_dir, struct crosh_error *err)
{
    cleanup_free char *line = NULL;
    int size = asprintf(&line, "%s\n", runtime_dir);

    if (size < 0) {
        line = NULL;
        return crosh_error_set(err, -ENOMEM, "out of memory");
    }
    if (ftruncate(fd, 0) < 0 || pwrite(fd, line, (size_t)size, 0) != size)
        return crosh_error_errno(err, "the lock of the VM");
    return 0;
}

/* How the run before ended is not how this one does. */
static void forget_end(const char *runtime_dir)
{
    cleanup_free char *path = NULL;

    if (asprintf(&path, "%s/ended", runtime_dir) < 0)
        path = NULL;
    else
        (void)unlink(path);
}

int vm_lock_take(struct vm_lock *lock, const struct launcher_config *config,
                 struct crosh_error *err)
{
    cleanup_free char *path = NULL;
    int code;

    if (asprintf(&path, "%s/lock", config->runtime_dir) < 0) {
        path = NULL;
        return crosh_error_set(err, -ENOMEM, "out of memory");
    }
    code = lock_file(path, &lock->runtime_fd);
    if (code == -EBUSY)
        return crosh_error_set(err, code,
                               "VM %s is already running: its runtime directory %s is in use",
                               config->machine.name, config->runtime_dir);
    if (code < 0)
        return crosh_error_set(err, code, "%s: %s", path, strerror(-code));
    code = config->lock != NULL ? lock_file(config->lock, &lock->data_fd) : 0;
    if (code == -EBUSY)
        return crosh_error_set(err, code, "VM %s is already running", config->machine.name);
    if (code < 0)
        return crosh_error_set(err, code, "%s: %s", config->lock, strerror(-code));
    forget_end(config->runtime_dir);
    return config->lock != NULL ? write_record(lock->data_fd, config->runtime_dir, err) : 0;
}

void vm_lock_release(struct vm_lock *lock)
{
    if (lock->data_fd >= 0)
        (void)close(lock->data_fd);
    if (lock->runtime_fd >= 0)
        (void)close(lock->runtime_fd);
    *lock = (struct vm_lock)VM_LOCK_NONE;
}

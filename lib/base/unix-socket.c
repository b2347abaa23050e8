/* SPDX-License-Identifier: MIT */
/* Implements unix stream sockets by path. */
#include "lib/base/unix-socket.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "lib/base/cleanup.h"
#include "lib/base/deadline.h"

#define BUSY_POLL_MS 20

/* Whether fd is of the working directory: a process without /proc has one that matters. */
static bool is_working_directory(int fd)
{
    struct stat there, here;

    return fstat(fd, &there) == 0 && stat(".", &here) == 0 && there.st_dev == here.st_dev &&
           there.st_ino == here.st_ino;
}

/*
 * Fills address for path. A path too long for sun_path is reached by its name alone in the
 * working directory, else through /proc/self/fd/<its directory>/<name>; *dir_fd keeps that
 * directory open until the address has been used.
 */
static int address_of(const char *path, struct sockaddr_un *address, int *dir_fd)
{
    const char *slash = strrchr(path, '/');
    cleanup_free char *dir = NULL;
    int length;

    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (strlen(path) < sizeof(address->sun_path)) {
        memcpy(address->sun_path, path, strlen(path));
        return 0;
    }
    if (slash == NULL)
        return -ENAMETOOLONG;
    dir = strndup(path, (size_t)(slash - path) + 1);
    if (dir == NULL)
        return -ENOMEM;
    *dir_fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (*dir_fd < 0)
        return -errno;
    if (is_working_directory(*dir_fd))
        length = snprintf(address->sun_path, sizeof(address->sun_path), "%s", slash + 1);
    else
        length = snprintf(address->sun_path, sizeof(address->sun_path), "/proc/self/fd/%d/%s",
                          *dir_fd, slash + 1);
    return length < (int)sizeof(address->sun_path) ? 0 : -ENAMETOOLONG;
}

int unix_listen(const char *path, struct crosh_error *err)
{
    cleanup_close int dir_fd = -1;
    cleanup_close int fd = -1;
    struct sockaddr_un address;
    struct stat st;
    int ret;

    ret = address_of(path, &address, &dir_fd);
    if (ret < 0)
        return crosh_error_set(err, ret, "%s: %s", path, strerror(-ret));
    if (lstat(path, &st) == 0) {
        if (!S_ISSOCK(st.st_mode))
            return crosh_error_set(err, -EEXIST, "%s is in the way and is no socket", path);
        (void)unlink(path);
    }
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    /* The mode of the socket's inode is what bind() gives the file. */
    if (fd < 0 || fchmod(fd, 0600) < 0 ||
        bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, SOMAXCONN) < 0)
        return crosh_error_errno(err, "%s", path);
    return move_fd(fd);
}

static int connect_to(const char *path, int flags)
{
    cleanup_close int dir_fd = -1;
    cleanup_close int fd = -1;
    struct sockaddr_un address;
    int ret;

    ret = address_of(path, &address, &dir_fd);
    if (ret < 0)
        return ret;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
        return -errno;
    return move_fd(fd);
}

int unix_connect(const char *path)
{
    return connect_to(path, 0);
}

int unix_connect_nonblock(const char *path)
{
    return connect_to(path, SOCK_NONBLOCK);
}

int unix_connect_at(int dir_fd, const char *name, int timeout_ms)
{
    const int64_t deadline = deadline_in(timeout_ms);
    char path[sizeof(((struct sockaddr_un *)NULL)->sun_path)];

    /* A path through our own descriptor always fits. */
    if ((size_t)snprintf(path, sizeof(path), "/proc/self/fd/%d/%s", dir_fd, name) >= sizeof(path))
        return -ENAMETOOLONG;
    for (;;) {
        int fd = unix_connect_nonblock(path);

        /* EAGAIN: the listener's backlog is full, and poll() would not tell when it is not. */
        if (fd >= 0 || (fd != -EAGAIN && fd != -EINTR))
            return fd;
        if (deadline_now() >= deadline)
            return -ETIMEDOUT;
        (void)poll(NULL, 0, BUSY_POLL_MS);
    }
}

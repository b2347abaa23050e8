/* SPDX-License-Identifier: MIT */
/* The status socket of a mount, and its end when nobody can come to it any more. */
#include "modules/sftp/fs-status.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jansson.h>

#include "lib/base/cleanup.h"
#include "lib/base/unix-socket.h"
#include "modules/sftp/fs.h"

/* How soon after being unmounted, and after its last file, a mount that others hold ends. */
#define LINGER_MS 1000

struct fs_status {
    struct fs *fs;
    int listener, quit_fd;
    int mounts_fd; /* the table of this namespace; it becomes "urgent" when that changes */
    char *device;  /* of the mount, as the table has it; NULL: not known */
    pthread_t thread;
    char *path;
};

static void tell(struct fs *fs, int fd)
{
    struct remote_status remote;
    size_t names, listings, ahead;
    json_t *json;
    char *text;

    remote_get_status(fs->remote, &remote);
    pthread_mutex_lock(&fs->nodes.lock);
    names = fs->nodes.count;
    listings = fs->dirs.count;
    ahead = fs->aheads.count;
    pthread_mutex_unlock(&fs->nodes.lock);
    json = json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "state",
                     remote.state == REMOTE_CONNECTED ? "connected" : "lost", "reason",
                     remote.reason, "connections", (json_int_t)remote.connections, "sent_bytes",
                     (json_int_t)remote.traffic.sent, "received_bytes",
                     (json_int_t)remote.traffic.received, "sent_bytes_per_second",
                     (json_int_t)remote.traffic.sent_rate, "received_bytes_per_second",
                     (json_int_t)remote.traffic.received_rate, "cached_names", (json_int_t)names,
                     "cached_listings", (json_int_t)listings, "cached_files", (json_int_t)ahead,
                     "cache_asked", (json_int_t)atomic_load(&fs->cache_asked), "cache_known",
                     (json_int_t)atomic_load(&fs->cache_known), "lost_write_bytes",
                     (json_int_t)atomic_load(&fs->lost_writes));
    text = json != NULL ? json_dumps(json, JSON_COMPACT) : NULL;
    /* As much as fits at once, which is all of it: nobody is waited for. */
    if (text != NULL)
        (void)send(fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT);
    free(text);
    json_decref(json);
}

/* Whether the table still has the mount. */
static bool is_mounted(struct fs_status *status)
{
    cleanup_free char *line = NULL;
    size_t size = 0;
    bool found = false;
    FILE *table = fopen("/proc/self/mountinfo", "re");

    if (table == NULL)
        return true;
    while (!found && getline(&line, &size, table) > 0) {
        char device[32];

        found = sscanf(line, "%*d %*d %31s", device) == 1 && strcmp(device, status->device) == 0;
    }
    (void)fclose(table);
    return found;
}

/*
 * A namespace that was made while the mount was there has a copy of it, which unmounting leaves.
 * The kernel then ends nothing here, so this does, once no file is open.
 */
static bool is_left(struct fs_status *status)
{
    return status->device != NULL && atomic_load(&status->fs->open_files) == 0 &&
           !is_mounted(status);
}

static void *status_thread(void *opaque)
{
    struct fs_status *status = opaque;
    bool is_unmounted = false;

    for (;;) {
        struct pollfd pfd[3] = {{.fd = status->listener, .events = POLLIN},
                                {.fd = status->quit_fd, .events = POLLIN},
                                {.fd = status->mounts_fd, .events = POLLPRI}};
        int fd, n = poll(pfd, 3, is_unmounted ? LINGER_MS : -1);

        if (n < 0 && errno != EINTR)
            return NULL;
        if (n > 0 && pfd[1].revents != 0)
            return NULL;
        if (n == 0 && is_left(status))
            (void)kill(getpid(), SIGTERM);
        if (n > 0 && pfd[2].revents != 0)
            is_unmounted = status->device != NULL && !is_mounted(status);
        fd =
            n > 0 && pfd[0].revents != 0 ? accept4(status->listener, NULL, NULL, SOCK_CLOEXEC) : -1;
        if (fd < 0)
            continue;
        tell(status->fs, fd);
        (void)close(fd);
    }
}

/* The mount's number. Nobody serves it yet: what the kernel knows already has to do. */
static char *device_of(const char *directory)
{
    struct statx stx;
    char *text = NULL;

    if (statx(AT_FDCWD, directory, AT_STATX_DONT_SYNC, 0, &stx) < 0 ||
        asprintf(&text, "%u:%u", stx.stx_dev_major, stx.stx_dev_minor) < 0)
        return NULL;
    return text;
}

struct fs_status *fs_status_start(struct fs *fs, const char *directory, const char *path,
                                  struct crosh_error *err)
{
    struct fs_status *status = calloc(1, sizeof(*status));

    if (status == NULL) {
        (void)crosh_error_set(err, -ENOMEM, "out of memory");
        return NULL;
    }
    status->fs = fs;
    status->path = strdup(path);
    status->device = device_of(directory);
    status->quit_fd = eventfd(0, EFD_CLOEXEC);
    /* Without it the mount only lives longer than it has to. */
    status->mounts_fd = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
    status->listener = unix_listen(path, err);
    if (status->path != NULL && status->quit_fd >= 0 && status->listener >= 0 &&
        pthread_create(&status->thread, NULL, status_thread, status) == 0)
        return status;
    if (status->listener >= 0) {
        (void)crosh_error_set(err, -ENOMEM, "out of memory, descriptors or threads");
        (void)close(status->listener);
    }
    if (status->quit_fd >= 0)
        (void)close(status->quit_fd);
    if (status->mounts_fd >= 0)
        (void)close(status->mounts_fd);
    free(status->device);
    free(status->path);
    free(status);
    return NULL;
}

void fs_status_stop(struct fs_status *status)
{
    if (status == NULL)
        return;
    (void)eventfd_write(status->quit_fd, 1);
    (void)pthread_join(status->thread, NULL);
    (void)unlink(status->path);
    (void)close(status->listener);
    (void)close(status->quit_fd);
    if (status->mounts_fd >= 0)
        (void)close(status->mounts_fd);
    free(status->device);
    free(status->path);
    free(status);
}

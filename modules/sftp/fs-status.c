/* SPDX-License-Identifier: MIT */
/* The status socket of a mount. */
#include "modules/sftp/fs-status.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <jansson.h>

#include "lib/base/unix-socket.h"
#include "modules/sftp/fs.h"

struct fs_status {
    struct fs *fs;
    int listener, quit_fd;
    pthread_t thread;
    char *path;
};

static void tell(struct fs *fs, int fd)
{
    struct remote_status remote;
    size_t names, listings;
    json_t *json;
    char *text;

    remote_get_status(fs->remote, &remote);
    pthread_mutex_lock(&fs->nodes.lock);
    names = fs->nodes.count;
    listings = fs->dirs.count;
    pthread_mutex_unlock(&fs->nodes.lock);
    json = json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I}", "state",
                     remote.state == REMOTE_CONNECTED ? "connected" : "lost", "reason",
                     remote.reason, "connections", (json_int_t)remote.connections, "sent_bytes",
                     (json_int_t)remote.sent, "received_bytes", (json_int_t)remote.received,
                     "cached_names", (json_int_t)names, "cached_listings", (json_int_t)listings,
                     "lost_write_bytes", (json_int_t)atomic_load(&fs->lost_writes));
    text = json != NULL ? json_dumps(json, JSON_COMPACT) : NULL;
    /* As much as fits at once, which is all of it: nobody is waited for. */
    if (text != NULL)
        (void)send(fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT);
    free(text);
    json_decref(json);
}

static void *status_thread(void *opaque)
{
    struct fs_status *status = opaque;

    for (;;) {
        struct pollfd pfd[2] = {{.fd = status->listener, .events = POLLIN},
                                {.fd = status->quit_fd, .events = POLLIN}};
        int fd;

        if (poll(pfd, 2, -1) < 0 && errno != EINTR)
            return NULL;
        if (pfd[1].revents != 0)
            return NULL;
        fd = accept4(status->listener, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0)
            continue;
        tell(status->fs, fd);
        (void)close(fd);
    }
}

struct fs_status *fs_status_start(struct fs *fs, const char *path, struct crosh_error *err)
{
    struct fs_status *status = calloc(1, sizeof(*status));

    if (status == NULL) {
        (void)crosh_error_set(err, -ENOMEM, "out of memory");
        return NULL;
    }
    status->fs = fs;
    status->path = strdup(path);
    status->quit_fd = eventfd(0, EFD_CLOEXEC);
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
    free(status->path);
    free(status);
}

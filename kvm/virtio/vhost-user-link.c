/* SPDX-License-Identifier: MIT */
/* Implements a frontend's connection: requests, answers within a bounded time, features. */
#include "kvm/virtio/vhost-user-link.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/deadline.h"
#include "lib/base/unix-socket.h"

/* Stopping a queue waits for what is being worked on, which may be a disk's work. */
#define TIMEOUT_MS 2000

/* Nothing else is used: answers to each request are not asked for, as the connection's end tells
   of errors, and configuration is the device's own. */
#define PROTOCOL_FEATURES (UINT64_C(1) << VHOST_USER_PROTOCOL_F_MQ)

int vhost_user_link_init(struct vhost_user_link *link, const char *path, struct crosh_error *err)
{
    *link = (struct vhost_user_link){.fd = -1, .timeout_ms = TIMEOUT_MS};
    vhost_user_reader_init(&link->reader);
    if ((size_t)snprintf(link->path, sizeof(link->path), "%s", path) >= sizeof(link->path))
        return crosh_error_set(err, -ENAMETOOLONG, "socket %s: the path is too long", path);
    return 0;
}

void vhost_user_link_close(struct vhost_user_link *link)
{
    if (link->fd >= 0)
        (void)close(link->fd);
    link->fd = -1;
    vhost_user_reader_clear(&link->reader);
}

static int fail(struct vhost_user_link *link, int code)
{
    vhost_user_link_close(link);
    return code;
}

int vhost_user_link_set(struct vhost_user_link *link, uint32_t request, const void *payload,
                        uint32_t size, const int *fd, unsigned int fd_count)
{
    int code;

    if (link->fd < 0)
        return -ENOTCONN;
    /* A backend that leaves so much unread that a request does not fit reads nothing any more. */
    code = vhost_user_send(link->fd, request, VHOST_USER_VERSION, payload, size, fd, fd_count);
    return code < 0 ? fail(link, code) : 0;
}

/* Reads one message, within the time that an answer may take. */
static int wait_message(struct vhost_user_link *link)
{
    int64_t end = deadline_now() + link->timeout_ms;

    for (;;) {
        struct pollfd poll_fd = {.fd = link->fd, .events = POLLIN};
        int code = vhost_user_read(&link->reader, link->fd);
        int64_t left = end - deadline_now();

        if (code != 0)
            return code;
        if (left <= 0)
            return -ETIMEDOUT;
        if (poll(&poll_fd, 1, (int)left) < 0 && errno != EINTR)
            return -errno;
    }
}

int vhost_user_link_get(struct vhost_user_link *link, uint32_t request, const void *payload,
                        uint32_t size, void *reply, uint32_t reply_size)
{
    const struct vhost_user_header *header = &link->reader.header;
    int code = vhost_user_link_set(link, request, payload, size, NULL, 0);

    if (code < 0)
        return code;
    vhost_user_reader_clear(&link->reader);
    code = wait_message(link);
    if (code < 0)
        return fail(link, code);
    if (header->request != request || (header->flags & VHOST_USER_REPLY) == 0 ||
        header->size != reply_size)
        return fail(link, -EPROTO);
    memcpy(reply, &link->reader.payload, reply_size);
    vhost_user_reader_clear(&link->reader);
    return 0;
}

static int negotiate(struct vhost_user_link *link)
{
    uint64_t offered, queues;
    int code = vhost_user_link_get(link, VHOST_USER_GET_FEATURES, NULL, 0, &link->features, 8);

    link->protocol_features = 0;
    link->queues = 0;
    if (code < 0)
        return code;
    code = vhost_user_link_set(link, VHOST_USER_SET_OWNER, NULL, 0, NULL, 0);
    if (code < 0 || (link->features >> VHOST_USER_F_PROTOCOL_FEATURES & 1) == 0)
        return code;
    code = vhost_user_link_get(link, VHOST_USER_GET_PROTOCOL_FEATURES, NULL, 0, &offered, 8);
    if (code < 0)
        return code;
    link->protocol_features = offered & PROTOCOL_FEATURES;
    code = vhost_user_link_set(link, VHOST_USER_SET_PROTOCOL_FEATURES, &link->protocol_features, 8,
                               NULL, 0);
    if (code < 0 || link->protocol_features == 0)
        return code;
    code = vhost_user_link_get(link, VHOST_USER_GET_QUEUE_NUM, NULL, 0, &queues, 8);
    if (code == 0)
        link->queues = queues < UINT8_MAX ? (unsigned int)queues : UINT8_MAX;
    return code;
}

int vhost_user_link_adopt(struct vhost_user_link *link, int fd, struct crosh_error *err)
{
    int code;

    link->fd = fd;
    if (fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) < 0 ||
        fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
        code = fail(link, -errno);
    else
        code = negotiate(link);
    if (code < 0)
        return crosh_error_set(err, code, "vhost-user %s: %s", link->path,
                               code == -ETIMEDOUT ? "no answer" : strerror(-code));
    return 0;
}

int vhost_user_link_open(struct vhost_user_link *link, struct crosh_error *err)
{
    int fd;

    if (link->path[0] == '\0')
        return crosh_error_set(err, -ENOTCONN, "vhost-user: the connection is gone");
    fd = unix_connect_nonblock(link->path);
    if (fd < 0)
        return crosh_error_set(err, fd, "socket %s: %s", link->path, strerror(-fd));
    return vhost_user_link_adopt(link, fd, err);
}

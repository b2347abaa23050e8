/* SPDX-License-Identifier: MIT */
/* SFTP over a socket: no encryption, where the stream never leaves this machine. */
#include "modules/sftp/link.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static ssize_t fd_read(struct sftp_link *link, void *buf, size_t size)
{
    ssize_t n = recv(link->fd, buf, size, 0);

    return n < 0 ? (errno == EINTR ? -EAGAIN : -errno) : n;
}

static ssize_t fd_write(struct sftp_link *link, const void *buf, size_t size)
{
    ssize_t n = send(link->fd, buf, size, MSG_NOSIGNAL);

    return n < 0 ? (errno == EINTR ? -EAGAIN : -errno) : n;
}

static short fd_write_events(struct sftp_link *link)
{
    (void)link;
    return POLLOUT;
}

static bool fd_has_data(struct sftp_link *link)
{
    (void)link;
    return false;
}

static void fd_free(struct sftp_link *link)
{
    (void)close(link->fd);
    free(link);
}

struct sftp_link *sftp_link_fd(int fd)
{
    static const struct sftp_link_ops ops = {
        .read = fd_read,
        .write = fd_write,
        .write_events = fd_write_events,
        .has_data = fd_has_data,
        .free = fd_free,
    };
    struct sftp_link *link = malloc(sizeof(*link));

    if (link == NULL) {
        (void)close(fd);
        return NULL;
    }
    (void)fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    *link = (struct sftp_link){.ops = &ops, .fd = fd};
    return link;
}

void sftp_link_free(struct sftp_link *link)
{
    if (link != NULL)
        link->ops->free(link);
}

/* SPDX-License-Identifier: MIT */
/* Implements the passing of descriptors. */
#include "lib/base/fd-pass.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Aligned as the headers in it want to be. */
union control {
    struct cmsghdr align;
    char space[CMSG_SPACE(FD_PASS_MAX * sizeof(int))];
};

ssize_t fd_pass_sendv(int fd, const struct iovec *iov, size_t iov_count, const int *fds,
                      size_t fd_count, int flags)
{
    union control control = {.space = {0}};
    struct msghdr message = {.msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = iov_count};
    ssize_t n;

    if (fd_count > FD_PASS_MAX)
        return -EINVAL;
    if (fd_count > 0) {
        struct cmsghdr *header;

        message.msg_control = &control;
        message.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
        header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(fd_count * sizeof(int));
        memcpy(CMSG_DATA(header), fds, fd_count * sizeof(int));
    }
    n = sendmsg(fd, &message, flags | MSG_NOSIGNAL);
    return n < 0 ? -errno : n;
}

ssize_t fd_pass_send(int fd, const void *data, size_t size, const int *fds, size_t fd_count,
                     int flags)
{
    const struct iovec iov = {.iov_base = (void *)(uintptr_t)data, .iov_len = size};

    return fd_pass_sendv(fd, &iov, 1, fds, fd_count, flags);
}

/* Takes the descriptors out of what came. False: some had no room. */
static bool take(struct msghdr *message, int *fds, size_t fd_max, size_t *fd_count)
{
    bool fits = (message->msg_flags & MSG_CTRUNC) == 0;
    struct cmsghdr *header;

    for (header = CMSG_FIRSTHDR(message); header != NULL; header = CMSG_NXTHDR(message, header)) {
        size_t count;

        if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS)
            continue;
        count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; i++) {
            int fd;

            memcpy(&fd, CMSG_DATA(header) + i * sizeof(int), sizeof(fd));
            if (fd_max > 0 && *fd_count < fd_max) {
                fds[(*fd_count)++] = fd;
            } else {
                (void)close(fd);
                fits = false;
            }
        }
    }
    return fits;
}

ssize_t fd_pass_receive(int fd, void *data, size_t size, int *fds, size_t fd_max, size_t *fd_count,
                        int flags)
{
    union control control;
    struct iovec iov = {.iov_base = data, .iov_len = size};
    struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
    ssize_t n;

    do {
        message.msg_control = &control;
        message.msg_controllen = sizeof(control);
        n = recvmsg(fd, &message, flags | MSG_CMSG_CLOEXEC);
    } while (n < 0 && errno == EINTR);
    if (n < 0)
        return -errno;
    if (!take(&message, fds, fd_max, fd_count))
        return -EPROTO;
    return (message.msg_flags & MSG_TRUNC) != 0 ? -EMSGSIZE : n;
}

/* SPDX-License-Identifier: MIT */
/* Implements the messages between keeper and front. */
#include "net/front-message.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONTROL_SIZE CMSG_SPACE(FRONT_SOCKETS * sizeof(int))

int front_send(int fd, const struct front_message *message, const int *fds, size_t count)
{
    struct iovec iov = {.iov_base = (void *)(uintptr_t)message, .iov_len = sizeof(*message)};
    char control[CONTROL_SIZE] = {0};
    struct msghdr header = {.msg_iov = &iov, .msg_iovlen = 1};

    if (count > 0) {
        struct cmsghdr *c;

        header.msg_control = control;
        header.msg_controllen = CMSG_SPACE(count * sizeof(int));
        c = CMSG_FIRSTHDR(&header);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(count * sizeof(int));
        memcpy(CMSG_DATA(c), fds, count * sizeof(int));
    }
    return sendmsg(fd, &header, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

int front_receive(int fd, struct front_message *message, int fds[FRONT_SOCKETS])
{
    struct iovec iov = {.iov_base = message, .iov_len = sizeof(*message)};
    char control[CONTROL_SIZE];
    struct msghdr header = {.msg_iov = &iov,
                            .msg_iovlen = 1,
                            .msg_control = control,
                            .msg_controllen = sizeof(control)};
    const struct cmsghdr *c;
    size_t count = 0;
    ssize_t n;

    for (size_t i = 0; i < FRONT_SOCKETS; i++)
        fds[i] = -1;
    do
        n = recvmsg(fd, &header, MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return -errno;
    c = CMSG_FIRSTHDR(&header);
    if (c != NULL && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
        count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        memcpy(fds, CMSG_DATA(c), (count < FRONT_SOCKETS ? count : FRONT_SOCKETS) * sizeof(int));
    }
    if (n == 0)
        return 0;
    if (n == (ssize_t)sizeof(*message) && (header.msg_flags & (MSG_CTRUNC | MSG_TRUNC)) == 0) {
        message->name[sizeof(message->name) - 1] = '\0';
        message->container[sizeof(message->container) - 1] = '\0';
        return 1;
    }
    for (size_t i = 0; i < FRONT_SOCKETS; i++)
        if (fds[i] >= 0)
            (void)close(fds[i]);
    return -EBADMSG;
}

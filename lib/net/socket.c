/* SPDX-License-Identifier: MIT */
/* Implements the packets of the keeper's protocol. */
#include "lib/net/socket.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/cleanup.h"

int crosh_priv_net_send(int fd, const ProtobufCMessage *message, const int *fds, size_t count)
{
    size_t size = protobuf_c_message_get_packed_size(message);
    cleanup_free uint8_t *data = malloc(size + 1);
    struct iovec iov = {.iov_base = data, .iov_len = size};
    char control[CMSG_SPACE(CROSH_NET_FDS_MAX * sizeof(int))] = {0};
    struct msghdr header = {.msg_iov = &iov, .msg_iovlen = 1};

    if (data == NULL)
        return -ENOMEM;
    if (size > CROSH_NET_MESSAGE_MAX || count > CROSH_NET_FDS_MAX)
        return -EMSGSIZE;
    (void)protobuf_c_message_pack(message, data);
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

/* Takes the descriptors out of what came; closes those that nobody wants. */
static void take_fds(struct msghdr *header, int *fds, size_t *count)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(header); c != NULL; c = CMSG_NXTHDR(header, c)) {
        size_t n = c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS
                       ? (c->cmsg_len - CMSG_LEN(0)) / sizeof(int)
                       : 0;

        for (size_t i = 0; i < n; i++) {
            int fd;

            memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
            if (fds != NULL && *count < CROSH_NET_FDS_MAX)
                fds[(*count)++] = fd;
            else
                (void)close(fd);
        }
    }
}

int crosh_priv_net_receive(int fd, const ProtobufCMessageDescriptor *type,
                           ProtobufCMessage **message, int *fds, size_t *count)
{
    cleanup_free uint8_t *data = malloc(CROSH_NET_MESSAGE_MAX);
    struct iovec iov = {.iov_base = data, .iov_len = CROSH_NET_MESSAGE_MAX};
    char control[CMSG_SPACE(CROSH_NET_FDS_MAX * sizeof(int))];
    struct msghdr header = {.msg_iov = &iov,
                            .msg_iovlen = 1,
                            .msg_control = control,
                            .msg_controllen = sizeof(control)};
    ssize_t n;

    if (data == NULL)
        return -ENOMEM;
    if (count != NULL)
        *count = 0;
    n = recvmsg(fd, &header, MSG_CMSG_CLOEXEC);
    if (n <= 0)
        return n == 0 ? 0 : -errno;
    take_fds(&header, fds, count);
    *message = (header.msg_flags & MSG_TRUNC) == 0
                   ? protobuf_c_message_unpack(type, NULL, (size_t)n, data)
                   : NULL;
    if (*message != NULL)
        return 1;
    while (count != NULL && *count > 0)
        (void)close(fds[--*count]);
    return -EBADMSG;
}

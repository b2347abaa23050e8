/* SPDX-License-Identifier: MIT */
/* Frames vhost-user messages: never reads past one, so that descriptors stay with their message. */
#include "kvm/virtio/vhost-user-message.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define HEADER_BYTES sizeof(struct vhost_user_header)

void vhost_user_reader_init(struct vhost_user_reader *reader)
{
    reader->used = 0;
    reader->fd_count = 0;
}

void vhost_user_reader_clear(struct vhost_user_reader *reader)
{
    for (unsigned int i = 0; i < reader->fd_count; i++)
        if (reader->fd[i] >= 0)
            (void)close(reader->fd[i]);
    vhost_user_reader_init(reader);
}

int vhost_user_take_fd(struct vhost_user_reader *reader, unsigned int i)
{
    int fd;

    if (i >= reader->fd_count)
        return -1;
    fd = reader->fd[i];
    reader->fd[i] = -1;
    return fd;
}

/* Keeps the descriptors that came along. False: more than any message has. */
static bool keep_fds(struct vhost_user_reader *reader, struct msghdr *msg)
{
    bool fits = (msg->msg_flags & MSG_CTRUNC) == 0;

    for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c != NULL; c = CMSG_NXTHDR(msg, c)) {
        size_t count;

        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; i++) {
            int fd;

            memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
            if (reader->fd_count < VHOST_USER_MAX_FDS) {
                reader->fd[reader->fd_count++] = fd;
            } else {
                (void)close(fd);
                fits = false;
            }
        }
    }
    return fits;
}

/* Reads up to want bytes to at. The number read, 0: none there now, or negative. */
static ssize_t read_some(struct vhost_user_reader *reader, int fd, void *at, size_t want)
{
    union {
        struct cmsghdr align;
        uint8_t space[CMSG_SPACE(sizeof(int) * VHOST_USER_MAX_FDS)];
    } control;
    struct iovec iov = {.iov_base = at, .iov_len = want};
    struct msghdr msg = {
        .msg_iov = &iov,
        .msg_iovlen = 1,
        .msg_control = &control,
        .msg_controllen = sizeof(control),
    };
    ssize_t n = recvmsg(fd, &msg, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);

    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -errno;
    if (!keep_fds(reader, &msg))
        return -EPROTO;
    return n > 0 ? n : -ECONNRESET;
}

int vhost_user_read(struct vhost_user_reader *reader, int fd)
{
    ssize_t n;

    if (reader->used < HEADER_BYTES) {
        n = read_some(reader, fd, (uint8_t *)&reader->header + reader->used,
                      HEADER_BYTES - reader->used);
        if (n <= 0)
            return (int)n;
        reader->used += (size_t)n;
        if (reader->used < HEADER_BYTES)
            return 0;
        if ((reader->header.flags & VHOST_USER_VERSION_MASK) != VHOST_USER_VERSION ||
            reader->header.size > sizeof(reader->payload))
            return -EPROTO;
        /* What a short message leaves out reads as zero, not as the one before. */
        memset(&reader->payload, 0, sizeof(reader->payload));
    }
    if (reader->used < HEADER_BYTES + reader->header.size) {
        size_t have = reader->used - HEADER_BYTES;

        n = read_some(reader, fd, (uint8_t *)&reader->payload + have, reader->header.size - have);
        if (n <= 0)
            return (int)n;
        reader->used += (size_t)n;
    }
    return reader->used == HEADER_BYTES + reader->header.size;
}

int vhost_user_send(int fd, uint32_t request, uint32_t flags, const void *payload, uint32_t size,
                    const int *fds, unsigned int fd_count)
{
    struct vhost_user_header header = {.request = request, .flags = flags, .size = size};
    struct iovec iov[2] = {
        {.iov_base = &header, .iov_len = sizeof(header)},
        {.iov_base = (void *)(uintptr_t)payload, .iov_len = size},
    };
    union {
        struct cmsghdr align;
        uint8_t space[CMSG_SPACE(sizeof(int) * VHOST_USER_MAX_FDS)];
    } control = {.space = {0}};
    struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 2};
    ssize_t n;

    if (fd_count > VHOST_USER_MAX_FDS)
        return -EINVAL;
    if (fd_count > 0) {
        struct cmsghdr *c;

        msg.msg_control = &control;
        msg.msg_controllen = CMSG_SPACE(sizeof(int) * fd_count);
        c = CMSG_FIRSTHDR(&msg);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int) * fd_count);
        memcpy(CMSG_DATA(c), fds, sizeof(int) * fd_count);
    }
    n = sendmsg(fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0)
        return -errno;
    /* Either end waits for answers, so the socket is never full unless the other plays games. */
    return (size_t)n == sizeof(header) + size ? 0 : -EPROTO;
}

int vhost_user_reply(int fd, uint32_t request, const void *payload, uint32_t size)
{
    return vhost_user_send(fd, request, VHOST_USER_VERSION | VHOST_USER_REPLY, payload, size, NULL,
                           0);
}

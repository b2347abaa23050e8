/* SPDX-License-Identifier: MIT */
/* Frames vhost-user messages: never reads past one, so that descriptors stay with their message. */
#include "kvm/virtio/vhost-user-message.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/fd-pass.h"

#define HEADER_BYTES sizeof(struct vhost_user_header)

void vhost_user_reader_init(struct vhost_user_reader *reader)
{
    reader->used = 0;
    reader->fd_count = 0;
}

void vhost_user_reader_clear(struct vhost_user_reader *reader)
{
    for (size_t i = 0; i < reader->fd_count; i++)
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

/* Reads up to want bytes to at. The number read, 0: none there now, or negative. */
static ssize_t read_some(struct vhost_user_reader *reader, int fd, void *at, size_t want)
{
    ssize_t n = fd_pass_receive(fd, at, want, reader->fd, VHOST_USER_MAX_FDS, &reader->fd_count,
                                MSG_DONTWAIT);

    if (n < 0)
        return n == -EAGAIN ? 0 : n;
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
                    const int *fds, size_t fd_count)
{
    const struct vhost_user_header header = {.request = request, .flags = flags, .size = size};
    const struct iovec iov[2] = {
        {.iov_base = (void *)(uintptr_t)&header, .iov_len = sizeof(header)},
        {.iov_base = (void *)(uintptr_t)payload, .iov_len = size},
    };
    ssize_t n = fd_pass_sendv(fd, iov, 2, fds, fd_count, MSG_DONTWAIT);

    if (n < 0)
        return (int)n;
    /* Either end waits for answers, so the socket is never full unless the other plays games. */
    return (size_t)n == sizeof(header) + size ? 0 : -EPROTO;
}

int vhost_user_reply(int fd, uint32_t request, const void *payload, uint32_t size)
{
    return vhost_user_send(fd, request, VHOST_USER_VERSION | VHOST_USER_REPLY, payload, size, NULL,
                           0);
}

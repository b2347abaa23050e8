/* SPDX-License-Identifier: MIT */
/* Implements the messages between keeper and front. */
#include "net/front-message.h"

#include <errno.h>
#include <unistd.h>

#include "lib/base/fd-pass.h"

_Static_assert(FRONT_SOCKETS <= FD_PASS_MAX, "a VM's sockets go in one message");

int front_send(int fd, const struct front_message *message, const int *fds, size_t count)
{
    ssize_t n = fd_pass_send(fd, message, sizeof(*message), fds, count, 0);

    return n < 0 ? (int)n : 0;
}

int front_receive(int fd, struct front_message *message, int fds[FRONT_SOCKETS])
{
    size_t count = 0;
    ssize_t n = fd_pass_receive(fd, message, sizeof(*message), fds, FRONT_SOCKETS, &count, 0);

    for (size_t i = count; i < FRONT_SOCKETS; i++)
        fds[i] = -1;
    if (n == (ssize_t)sizeof(*message)) {
        message->name[sizeof(message->name) - 1] = '\0';
        message->container[sizeof(message->container) - 1] = '\0';
        return 1;
    }
    for (size_t i = 0; i < count; i++) {
        (void)close(fds[i]);
        fds[i] = -1;
    }
    return n > 0 || n == -EPROTO || n == -EMSGSIZE ? -EBADMSG : (int)n;
}

/* SPDX-License-Identifier: MIT */
/* Implements the packets of the keeper's protocol. */
#include "lib/net/socket.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/base/fd-pass.h"

int crosh_priv_net_send(int fd, const ProtobufCMessage *message, const int *fds, size_t count)
{
    size_t size = protobuf_c_message_get_packed_size(message);
    cleanup_free uint8_t *data = malloc(size + 1);
    ssize_t n;

    if (data == NULL)
        return -ENOMEM;
    if (size > CROSH_NET_MESSAGE_MAX || count > CROSH_NET_FDS_MAX)
        return -EMSGSIZE;
    (void)protobuf_c_message_pack(message, data);
    n = fd_pass_send(fd, data, size, fds, count, 0);
    return n < 0 ? (int)n : 0;
}

int crosh_priv_net_receive(int fd, const ProtobufCMessageDescriptor *type,
                           ProtobufCMessage **message, int *fds, size_t *count)
{
    cleanup_free uint8_t *data = malloc(CROSH_NET_MESSAGE_MAX);
    ssize_t n;

    if (data == NULL)
        return -ENOMEM;
    if (count != NULL)
        *count = 0;
    n = fd_pass_receive(fd, data, CROSH_NET_MESSAGE_MAX, fds, fds != NULL ? CROSH_NET_FDS_MAX : 0,
                        count, 0);
    if (n > 0) {
        *message = protobuf_c_message_unpack(type, NULL, (size_t)n, data);
        if (*message != NULL)
            return 1;
        n = -EBADMSG;
    }
    while (count != NULL && *count > 0)
        (void)close(fds[--*count]);
    return n == -EPROTO || n == -EMSGSIZE ? -EBADMSG : (int)n;
}

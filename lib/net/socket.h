/* SPDX-License-Identifier: MIT */
/* Messages of the keeper's protocol (lib/wire/net.proto) over its socket, with descriptors. */
#ifndef CROSH_NET_SOCKET_H
#define CROSH_NET_SOCKET_H

#include <stddef.h>

#include <protobuf-c/protobuf-c.h>

/* Within the runtime directory, and within that. */
#define CROSH_NET_DIR    ".net"
#define CROSH_NET_SOCKET "net.sock"

#define CROSH_NET_FDS_MAX     4u
#define CROSH_NET_MESSAGE_MAX (64u * 1024u)

/* Sends a message as one packet. 0 or negative errno. */
int crosh_priv_net_send(int fd, const ProtobufCMessage *message, const int *fds, size_t count);

/*
 * Takes one packet: 1 with *message, 0 at end of file, or negative errno (-EBADMSG for what does
 * not decode). fds (of CROSH_NET_FDS_MAX; NULL: none are taken) gets the descriptors that
 * came along, *count of them, the caller's to close.
 */
int crosh_priv_net_receive(int fd, const ProtobufCMessageDescriptor *type,
                           ProtobufCMessage **message, int *fds, size_t *count);

#endif

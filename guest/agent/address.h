/* SPDX-License-Identifier: MIT */
/* Where the agent listens and whom it dials: vsock addresses, and unix sockets for tests. */
#ifndef AGENT_ADDRESS_H
#define AGENT_ADDRESS_H

#include <stdbool.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <crosh/error.h>

#include <linux/vm_sockets.h>

struct address {
    union {
        struct sockaddr any;
        struct sockaddr_vm vm;
        struct sockaddr_un un;
    };
    socklen_t size;
};

/* The vsock port of a peer; cid may be VMADDR_CID_ANY to listen. */
struct address address_vsock(unsigned int cid, unsigned int port);

/*
 * "vsock:PORT" (cid as given), "vsock:CID:PORT" or "unix:PATH". 0 or -EINVAL.
 */
int address_parse(struct address *address, const char *text, unsigned int cid,
                  struct crosh_error *err);

/*
 * A listening, non-blocking, close-on-exec socket, or negative. A unix socket's
 * old file is replaced and the new one is private to its owner.
 */
int address_listen(const struct address *address, struct crosh_error *err);

/* Starts to connect without blocking: a socket to poll for POLLOUT, or negative errno. */
int address_dial(const struct address *address);

/*
 * Whether the peer of an accepted socket may ask for sessions: the host on vsock,
 * never another process of the guest (it would become root); on a unix socket,
 * our own user and root.
 */
bool address_is_trusted_peer(int fd);

#endif

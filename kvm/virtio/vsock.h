/* SPDX-License-Identifier: MIT */
/* virtio-vsock (virtio 1.2 section 5.10) in user space, with unix sockets as the host's side. */
#ifndef KVM_VIRTIO_VSOCK_H
#define KVM_VIRTIO_VSOCK_H

#include "kvm/virtio/device.h"

#define VSOCK_DEFAULT_CONNECTIONS 1023u
#define VSOCK_DEFAULT_BUFFER      (256u * 1024)
/* Clients in the CONNECT handshake, unanswered requests, connects to busy listeners. */
#define VSOCK_MAX_HALF_OPEN 128u
/* How long any of these may take, and a guest to answer a full shutdown. */
#define VSOCK_DEFAULT_DEADLINE_MS 10000u

struct vsock_config {
    uint64_t guest_cid; /* 3 .. 2^32-2 */
    /*
     * Unix socket, created 0600: a client writes "CONNECT <port>\n" and reads
     * "OK <host port>\n"; anything else, or a refused port, closes the stream.
     * A guest's connection to host port P is taken to the socket "<path>_<P>",
     * whoever listens there. NULL: no host side (tests).
     */
    const char *socket_path;
    unsigned int max_connections; /* 0: 1023 */
    uint32_t buffer_bytes;        /* per connection and direction; 0: 256 KiB */
    /* How long a client may take to say CONNECT, a guest or a busy listener to answer, and a
       guest to end a stream that the host has closed; 0: 10 s */
    unsigned int deadline_ms;
};

/*
 * A port of the host served inside the launcher. Called on the loop's thread with
 * one end of a new stream socket pair (non-blocking, close-on-exec), which the
 * callee owns from then on, also when it returns false to refuse the connection.
 */
typedef bool vsock_accept_fn(void *opaque, int fd);

/* NULL with err filled: a socket that cannot be made, bad CID. */
struct virtio_device *vsock_new(struct event_loop *loop, const struct vsock_config *config,
                                struct crosh_error *err);
/* Stops it, closes every stream, unlinks the socket. Accepts NULL. */
void vsock_free(struct virtio_device *dev);
/* Serves host port in the launcher; before the guest runs. -EADDRINUSE, -ENOSPC. */
int vsock_listen(struct virtio_device *dev, uint32_t port, vsock_accept_fn *accept, void *opaque);

#endif

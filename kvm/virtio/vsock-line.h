/* SPDX-License-Identifier: MIT */
/* The line with which a client of a VM's vsock.sock says which port of the guest it wants. */
#ifndef KVM_VIRTIO_VSOCK_LINE_H
#define KVM_VIRTIO_VSOCK_LINE_H

#include <stddef.h>
#include <stdint.h>

#define VSOCK_LINE_MAX 32 /* "CONNECT 4294967294\n" and some */

/* As far as it has come; zeroed at first. */
struct vsock_line {
    size_t used;
    char text[VSOCK_LINE_MAX];
};

/*
 * Reads on from fd, which is non-blocking, and no further than the end of the line: what
 * follows belongs to the stream. 1: it is complete, *port is set; 0: not yet; negative: it
 * never will be.
 */
int vsock_line_read(struct vsock_line *line, int fd, uint32_t *port);

#endif

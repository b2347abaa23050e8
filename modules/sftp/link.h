/* SPDX-License-Identifier: MIT */
/* The byte stream that SFTP's packets travel on: a socket, or a channel of an SSH session. */
#ifndef SFTP_LINK_H
#define SFTP_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct sftp_link;

/* None of these waits. They are not thread-safe: one lock serves for a link. */
struct sftp_link_ops {
    /* Bytes, 0 at the stream's end, -EAGAIN, or another negative errno. */
    ssize_t (*read)(struct sftp_link *link, void *buf, size_t size);
    /* Bytes taken, -EAGAIN, or another negative errno. */
    ssize_t (*write)(struct sftp_link *link, const void *buf, size_t size);
    /* What to poll(2) the descriptor for, beside POLLIN, before write is tried again. */
    short (*write_events)(struct sftp_link *link);
    /* Whether bytes were taken off the descriptor already, which poll(2) knows nothing of. */
    bool (*has_data)(struct sftp_link *link);
    void (*free)(struct sftp_link *link);
};

struct sftp_link {
    const struct sftp_link_ops *ops;
    int fd; /* for poll(2) */
};

/*
 * A stream socket, which the link owns from now on and makes non-blocking. NULL: out of
 * memory; the socket is closed then, too.
 */
struct sftp_link *sftp_link_fd(int fd);

/* Accepts NULL. */
void sftp_link_free(struct sftp_link *link);

#endif

/* SPDX-License-Identifier: MIT */
/* The contents of one file of a server, with many requests under way. */
#ifndef SFTP_WINDOW_H
#define SFTP_WINDOW_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "modules/sftp/calls.h"

/* Whoever reads or writes; called on the thread that called, one at a time. */
struct window_user {
    /* Takes what was read; the pieces come in any order. 0, or a negative errno that ends it. */
    int (*take)(void *opaque, uint64_t offset, const uint8_t *data, size_t size);
    /*
     * Gives what is to be written at *offset, which it may move forward over what need not be
     * written. The bytes given; 0: there are no more; or a negative errno that ends it.
     */
    ssize_t (*give)(void *opaque, uint64_t *offset, uint8_t *data, size_t size);
    /* Whether to stop: ends it with -ECANCELED. */
    bool (*is_stopped)(void *opaque);
    void *opaque;
};

/*
 * Reads from *at up to end. *at becomes how far all of it was taken. 0; -ENODATA: the file
 * ends at *at; or another negative errno, of the server, the connection or the user.
 */
int window_read(struct sftp_client *client, const struct sftp_handle *handle, uint64_t *at,
                uint64_t end, const struct window_user *user);

/* Writes from *at up to end; *at becomes how far it came. 0, or a negative errno as above. */
int window_write(struct sftp_client *client, const struct sftp_handle *handle, uint64_t *at,
                 uint64_t end, const struct window_user *user);

#endif

/* SPDX-License-Identifier: MIT */
/* A frontend's connection to a vhost-user backend: one of our VMs uses a device of another process.
 */
#ifndef KVM_VIRTIO_VHOST_USER_LINK_H
#define KVM_VIRTIO_VHOST_USER_LINK_H

#include <stdbool.h>

#include <crosh/error.h>

#include "kvm/virtio/vhost-user-message.h"

#define VHOST_USER_PATH_MAX 256

/*
 * The backend is trusted with guest memory, as that is its purpose, and with nothing
 * else: an answer that does not come within some time, or is not one, ends the
 * connection. The link outlives devices, so that a reboot of the guest keeps it.
 */
struct vhost_user_link {
    char path[VHOST_USER_PATH_MAX]; /* empty: cannot be connected anew */
    int fd;                         /* -1: there is none; to be watched for its end */
    int timeout_ms;                 /* for an answer */
    uint64_t features;              /* the backend's */
    uint64_t protocol_features;     /* agreed on */
    unsigned int queues;            /* of the backend; 0: it does not tell */
    struct vhost_user_reader reader;
};

/* Prepares link for path, which is copied; nothing is connected yet. */
int vhost_user_link_init(struct vhost_user_link *link, const char *path, struct crosh_error *err);
/* Connects to the path and agrees on features. 0, or negative with err filled. */
int vhost_user_link_open(struct vhost_user_link *link, struct crosh_error *err);
/* The same over a connected stream socket, owned from here on. */
int vhost_user_link_adopt(struct vhost_user_link *link, int fd, struct crosh_error *err);
void vhost_user_link_close(struct vhost_user_link *link);

/*
 * Sends a request that has no answer; never waits. 0; negative errno: the connection
 * is closed.
 */
int vhost_user_link_set(struct vhost_user_link *link, uint32_t request, const void *payload,
                        uint32_t size, const int *fd, unsigned int fd_count);
/*
 * Sends a request and waits for its answer, which must be of reply_size bytes. 0;
 * negative errno: the connection is closed.
 */
int vhost_user_link_get(struct vhost_user_link *link, uint32_t request, const void *payload,
                        uint32_t size, void *reply, uint32_t reply_size);

#endif

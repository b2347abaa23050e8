/* SPDX-License-Identifier: MIT */
/* The virtio-vsock device with the host's kernel at its queues (vhost-vsock). */
#ifndef KVM_VIRTIO_VHOST_VSOCK_H
#define KVM_VIRTIO_VHOST_VSOCK_H

#include "kvm/virtio/device.h"

struct vhost_vsock_config {
    int fd; /* of vhost_vsock_open(); the caller's, who uses it for one device after another */
    uint32_t guest_cid;
    /* The driver has come; or it has reset the device, or this goes, and its streams are gone. On
       the loop's thread. */
    void (*driver)(void *opaque, bool is_there);
    void *opaque;
};

/*
 * Opens the kernel's device for this process and takes the guest's address, which is unique on
 * this host: 3 .. 2^32-2. A descriptor, or negative with err filled: -ENOENT when the host has
 * none, -EACCES, -EADDRINUSE.
 */
int vhost_vsock_open(uint32_t guest_cid, struct crosh_error *err);

/* NULL with err filled. */
struct virtio_device *vhost_vsock_new(struct event_loop *loop,
                                      const struct vhost_vsock_config *config,
                                      struct crosh_error *err);
/* Takes the queues back from the kernel. Accepts NULL. */
void vhost_vsock_free(struct virtio_device *dev);

#endif

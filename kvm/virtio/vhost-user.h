/* SPDX-License-Identifier: MIT */
/* The vhost-user transport: serves one of our virtio devices to a QEMU over a unix socket. */
#ifndef KVM_VIRTIO_VHOST_USER_H
#define KVM_VIRTIO_VHOST_USER_H

#include "kvm/virtio/device.h"

struct vhost_user;

/*
 * Serves dev to the frontend at the other end of fd (a connected unix stream
 * socket, owned from here on). on_gone is called on the loop's thread when the
 * frontend disconnects or breaks the protocol (detail says how); the device is
 * stopped by then. NULL with err filled on lack of memory.
 */
struct vhost_user *vhost_user_new(struct event_loop *loop, struct virtio_device *dev, int fd,
                                  void (*on_gone)(void *opaque, const char *detail), void *opaque,
                                  struct crosh_error *err);
void vhost_user_free(struct vhost_user *vu);

#endif

/* SPDX-License-Identifier: MIT */
/* virtio-fs (virtio 1.2 section 5.11): a directory of the host's, served by a virtiofsd. */
#ifndef KVM_VIRTIO_FS_H
#define KVM_VIRTIO_FS_H

#include "kvm/virtio/device.h"
#include "kvm/virtio/vhost-user-link.h"

#define FS_TAG_MAX 36 /* bytes of a tag; no terminator then */

/* A shared directory as the command line describes it. */
struct fs_share {
    char tag[FS_TAG_MAX + 1];         /* what the guest mounts it by */
    char socket[VHOST_USER_PATH_MAX]; /* virtiofsd's */
    bool is_mounted_by_agent;         /* at /mnt/shared/TAG */
    bool read_only;                   /* how it mounts it */
    bool is_mounted;                  /* it has */
    struct vhost_user_link *link;     /* after fs_share_open() */
};

/* Whether it is one: it names a directory in the guest, too. */
bool fs_tag_is_valid(const char *tag);
/* Reads "tag=NAME,socket=PATH[,mount][,ro]". 0 or CROSH_EUSAGE. */
int fs_share_parse(const char *text, struct fs_share *share, struct crosh_error *err);
/* Connects to the virtiofsd. */
int fs_share_open(struct fs_share *share, struct crosh_error *err);
/* Hangs up; also on one that was not opened. */
void fs_share_close(struct fs_share *share);

/*
 * A device for a share whose link is open; it outlives the device. Guest memory must
 * be shared. NULL with err filled.
 */
struct virtio_device *virtio_fs_new(struct event_loop *loop, const struct fs_share *share,
                                    struct crosh_error *err);
/* Accepts NULL. */
void virtio_fs_free(struct virtio_device *dev);

#endif

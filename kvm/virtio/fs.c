/* SPDX-License-Identifier: MIT */
/* Implements virtio-fs: its configuration, and what guests are told when virtiofsd is gone. */
#include "kvm/virtio/fs.h"

#include <endian.h>
#include <errno.h>
#include <linux/fuse.h>
#include <linux/virtio_fs.h>
#include <linux/virtio_ids.h>
#include <stdlib.h>
#include <string.h>

#include "kvm/option-values.h"
#include "kvm/virtio/vhost-user-frontend.h"

/* One for what must not wait (forgetting files), one for requests. */
enum { QUEUE_HIGH_PRIORITY, QUEUE_REQUESTS, QUEUE_COUNT };

struct virtio_fs {
    struct vhost_user_frontend frontend; /* first, and in it the device */
    struct virtio_fs_config config;
    char tag[FS_TAG_MAX + 1];
    bool is_mounted_by_agent;
};

bool fs_tag_is_valid(const char *tag)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    size_t length = strlen(tag);

    return length > 0 && length <= FS_TAG_MAX && strspn(tag, allowed) == length && tag[0] != '.';
}

int fs_share_parse(const char *text, struct fs_share *share, struct crosh_error *err)
{
    struct option_item item;
    int code = 0;

    memset(share, 0, sizeof(*share));
    while (code == 0 && option_item_next(&text, &item)) {
        if (option_item_is(&item, "tag"))
            code = option_item_copy(&item, "fs", share->tag, sizeof(share->tag), err);
        else if (option_item_is(&item, "socket"))
            code = option_item_copy(&item, "fs", share->socket, sizeof(share->socket), err);
        else if (option_item_is(&item, "mount"))
            share->is_mounted_by_agent = true;
        else if (option_item_is(&item, "ro"))
            share->read_only = true;
        else
            code = option_item_unknown(&item, "fs", "tag, socket, mount and ro", err);
    }
    if (code == 0 && (share->tag[0] == '\0' || share->socket[0] == '\0'))
        code = crosh_error_set(err, CROSH_EUSAGE, "--fs needs tag=NAME,socket=PATH");
    if (code == 0 && share->is_mounted_by_agent && !fs_tag_is_valid(share->tag))
        code = crosh_error_set(err, CROSH_EUSAGE,
                               "--fs: the tag of what is mounted has letters, digits, '.', '_' and "
                               "'-' only, not '%s'",
                               share->tag);
    return code;
}

int fs_share_open(struct fs_share *share, struct crosh_error *err)
{
    int code;

    share->link = calloc(1, sizeof(*share->link));
    if (share->link == NULL)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    code = vhost_user_link_init(share->link, share->socket, err);
    if (code == 0)
        code = vhost_user_link_open(share->link, err);
    if (code == 0)
        return 0;
    crosh_error_wrap(err, "shared directory %s", share->tag);
    if (code == -ENOENT || code == -ECONNREFUSED)
        crosh_error_hint(err, "start virtiofsd first: virtiofsd --socket-path=%s -o source=DIR",
                         share->socket);
    return code;
}

void fs_share_close(struct fs_share *share)
{
    if (share->link != NULL)
        vhost_user_link_close(share->link);
    free(share->link);
    share->link = NULL;
}

static void fs_config_read(struct virtio_device *dev, uint32_t offset, void *buf, uint32_t size)
{
    const struct virtio_fs *fs = (struct virtio_fs *)(void *)dev;

    virtio_config_copy(&fs->config, sizeof(fs->config), offset, buf, size);
}

/* "Not connected", as a FUSE file system whose daemon died says. Some requests have no answer. */
static uint32_t answer(struct virtio_device *dev, unsigned int queue,
                       const struct virtqueue_chain *chain)
{
    struct fuse_in_header request;
    struct fuse_out_header reply = {.len = sizeof(reply), .error = -ENOTCONN};

    (void)dev;
    (void)queue;
    if (virtqueue_chain_read(chain, 0, &request, sizeof(request)) != sizeof(request) ||
        chain->in_bytes < sizeof(reply))
        return 0;
    reply.unique = request.unique;
    return (uint32_t)virtqueue_chain_write(chain, 0, &reply, sizeof(reply));
}

/*
 * What the daemon knows of the guest's files cannot be had. So nothing may be mounted: the agent
 * was asked to leave a directory that it had mounted, others may be anything.
 */
static int fs_save(struct virtio_device *dev, Snapshot__Virtio *state, struct crosh_error *err)
{
    const struct virtio_fs *fs = (struct virtio_fs *)(void *)dev;

    if (dev->started && !fs->is_mounted_by_agent) {
        crosh_error_set(err, -EOPNOTSUPP,
                        "the guest may have mounted the shared directory %s by itself, and its "
                        "virtiofsd cannot be saved",
                        fs->tag);
        return crosh_error_hint(err,
                                "have the agent mount it: --fs tag=%s,socket=PATH,mount; or "
                                "detach it first",
                                fs->tag);
    }
    vhost_user_frontend_save(dev, state);
    return 0;
}

static const struct virtio_device_ops fs_ops = {
    .device_id = VIRTIO_ID_FS,
    .name = "fs",
    .config_read = fs_config_read,
    .start = vhost_user_frontend_start,
    .stop = vhost_user_frontend_stop,
    .kick = vhost_user_frontend_kick,
    .hold = vhost_user_frontend_hold,
    .has_own_kicks = vhost_user_frontend_has_own_kicks,
    .save = fs_save,
};

static const struct vhost_user_frontend_ops frontend_ops = {.answer = answer};

struct virtio_device *virtio_fs_new(struct event_loop *loop, const struct fs_share *share,
                                    struct crosh_error *err)
{
    struct virtio_fs *fs = calloc(1, sizeof(*fs));

    if (fs == NULL) {
        crosh_error_set(err, -ENOMEM, "out of memory");
        return NULL;
    }
    vhost_user_frontend_init(&fs->frontend, &fs_ops, &frontend_ops, loop, share->link, QUEUE_COUNT,
                             0);
    memcpy(fs->config.tag, share->tag, strlen(share->tag));
    memcpy(fs->tag, share->tag, sizeof(fs->tag));
    fs->is_mounted_by_agent = share->is_mounted_by_agent;
    fs->config.num_request_queues = htole32(QUEUE_COUNT - QUEUE_REQUESTS);
    return &fs->frontend.dev;
}

void virtio_fs_free(struct virtio_device *dev)
{
    if (dev == NULL)
        return;
    virtio_device_stop(dev);
    free(dev);
}

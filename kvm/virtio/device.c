/* SPDX-License-Identifier: MIT */
/* Starts and stops virtio devices for their transports, and brings kicks to them. */
#include "kvm/virtio/device.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>

void virtio_device_init(struct virtio_device *dev, const struct virtio_device_ops *ops,
                        struct event_loop *loop, unsigned int queue_count)
{
    dev->ops = ops;
    dev->loop = loop;
    dev->features = 1ULL << VIRTIO_F_VERSION_1 | 1ULL << VIRTIO_RING_F_INDIRECT_DESC |
                    1ULL << VIRTIO_RING_F_EVENT_IDX;
    dev->queue_count = queue_count;
    for (unsigned int i = 0; i < VIRTIO_DEVICE_MAX_QUEUES; i++)
        dev->queue[i].kick_fd = dev->queue[i].call_fd = -1;
}

void virtio_config_copy(const void *config, size_t config_size, uint32_t offset, void *buf,
                        uint32_t size)
{
    size_t n = 0;

    if (offset < config_size)
        n = config_size - offset < size ? config_size - offset : size;
    if (n > 0)
        memcpy(buf, (const uint8_t *)config + offset, n);
    memset((uint8_t *)buf + n, 0, size - n);
}

/*
 * Every signal of an eventfd is an edge, whatever its counter holds: it need not be read, which
 * spares a system call for each kick. It could count kicks for centuries before it were full. And
 * a descriptor that is none, which a vhost-user frontend may hand over, cannot make the loop spin.
 */
#define KICK_EVENTS (EPOLLIN | EPOLLET)

static void on_kick(void *opaque, uint32_t events)
{
    struct virtio_kick *kick = opaque;
    struct virtio_device *dev = kick->dev;

    (void)events;
    dev->ops->kick(dev, (unsigned int)(kick - dev->kick));
}

static bool has_own_kicks(struct virtio_device *dev, unsigned int index)
{
    return dev->ops->has_own_kicks != NULL && dev->ops->has_own_kicks(dev, index);
}

static int start_queue(struct virtio_device *dev, unsigned int index,
                       const struct guest_memory *memory)
{
    struct virtqueue *vq = &dev->queue[index];
    struct virtio_kick *kick = &dev->kick[index];
    int ret;

    vq->event_idx = virtio_device_has_feature(dev, VIRTIO_RING_F_EVENT_IDX);
    ret = virtqueue_start(vq, memory);
    if (ret < 0)
        return ret;
    if (vq->kick_fd < 0 || has_own_kicks(dev, index))
        return 0;
    kick->dev = dev;
    kick->source = event_add(dev->loop, vq->kick_fd, KICK_EVENTS, on_kick, kick);
    return kick->source != NULL ? 0 : -errno;
}

int virtio_device_start(struct virtio_device *dev, const struct guest_memory *memory)
{
    int ret = 0;

    if (dev->started)
        return -EBUSY;
    dev->driver_features &= dev->features;
    /* Legacy drivers lay their rings out differently. */
    if (!virtio_device_has_feature(dev, VIRTIO_F_VERSION_1))
        return -EINVAL;
    for (unsigned int i = 0; i < dev->queue_count && ret == 0; i++)
        if (dev->queue[i].size != 0)
            ret = start_queue(dev, i, memory);
    if (ret == 0)
        ret = dev->ops->start(dev);
    dev->started = true;
    dev->is_suspended = false;
    if (ret < 0) {
        virtio_device_stop(dev);
        return ret;
    }
    /* The driver may have filled its queues before anybody watched. */
    for (unsigned int i = 0; i < dev->queue_count; i++)
        if (!has_own_kicks(dev, i) && virtqueue_has_available(&dev->queue[i]))
            dev->ops->kick(dev, i);
    if (dev->on_first_start != NULL) {
        void (*fn)(void *) = dev->on_first_start;

        dev->on_first_start = NULL;
        fn(dev->on_first_start_opaque);
    }
    return 0;
}

void virtio_device_stop(struct virtio_device *dev)
{
    if (!dev->started)
        return;
    dev->started = false;
    atomic_store(&dev->needs_reset, false);
    for (unsigned int i = 0; i < dev->queue_count; i++) {
        event_remove(dev->kick[i].source);
        dev->kick[i].source = NULL;
    }
    dev->ops->stop(dev);
    for (unsigned int i = 0; i < dev->queue_count; i++)
        virtqueue_reset(&dev->queue[i]);
}

void virtio_device_hold(struct virtio_device *dev, int idle_fd)
{
    if (!dev->started)
        return;
    if (dev->ops->hold != NULL)
        dev->ops->hold(dev);
    for (unsigned int i = 0; i < dev->queue_count; i++) {
        if (dev->kick[i].source != NULL)
            event_modify(dev->kick[i].source, 0);
        dev->queue[i].idle_fd = idle_fd;
        dev->queue[i].is_held = true;
    }
}

void virtio_device_release(struct virtio_device *dev)
{
    if (!dev->started)
        return;
    for (unsigned int i = 0; i < dev->queue_count; i++) {
        dev->queue[i].is_held = false;
        if (dev->kick[i].source != NULL)
            event_modify(dev->kick[i].source, KICK_EVENTS);
    }
    /* Devices do not only wait for kicks: what they put off goes on so, too. */
    for (unsigned int i = 0; i < dev->queue_count; i++)
        if (dev->queue[i].running)
            dev->ops->kick(dev, i);
}

bool virtio_device_is_quiet(const struct virtio_device *dev)
{
    for (unsigned int i = 0; i < dev->queue_count; i++)
        if (dev->queue[i].running && !dev->queue[i].broken && dev->queue[i].in_flight > 0)
            return false;
    return true;
}

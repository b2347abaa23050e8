/* SPDX-License-Identifier: MIT */
/* Implements the registers that all transports have in common. */
#include "kvm/virtio/transport.h"

#include <endian.h>
#include <errno.h>
#include <linux/virtio_config.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

static void drain(int fd)
{
    eventfd_t count;

    (void)eventfd_read(fd, &count);
}

/* ---- The device's way to the driver ---- */

static void config_changed(struct virtio_device *dev)
{
    struct virtio_transport *t = dev->transport;
    int fd = t->ops->config_call_fd(t);

    atomic_fetch_add(&t->config_generation, 1);
    atomic_fetch_or(&t->isr, VIRTIO_ISR_CONFIG);
    if (fd >= 0)
        (void)eventfd_write(fd, 1);
}

static void start_on_loop(void *opaque)
{
    struct virtio_transport *t = opaque;

    t->start_result = virtio_device_start(t->dev, t->host.memory);
}

static void stop_on_loop(void *opaque)
{
    struct virtio_transport *t = opaque;

    virtio_device_stop(t->dev);
}

/* ---- Life ---- */

/* Brings everything the driver can change to its state at power-on; the device is stopped. */
static void reset_registers(struct virtio_transport *t)
{
    t->device_feature_select = t->driver_feature_select = 0;
    t->driver_features = 0;
    t->queue_select = 0;
    t->status = 0;
    atomic_store(&t->isr, 0);
    t->dev->driver_features = 0;
    for (unsigned int i = 0; i < t->dev->queue_count; i++) {
        struct virtqueue *vq = &t->dev->queue[i];

        vq->size = vq->size_max;
        vq->desc_gpa = vq->driver_gpa = vq->device_gpa = 0;
        vq->call_fd = -1;
        t->queue_enabled[i] = false;
        drain(t->kick_fd[i]);
    }
    if (t->ops->reset != NULL)
        t->ops->reset(t);
}

int virtio_transport_init(struct virtio_transport *t, const struct virtio_transport_ops *ops,
                          const struct virtio_host *host, struct virtio_device *dev)
{
    t->ops = ops;
    t->host = *host;
    t->dev = dev;
    t->lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
    for (unsigned int i = 0; i < VIRTIO_DEVICE_MAX_QUEUES; i++)
        t->kick_fd[i] = -1;
    for (unsigned int i = 0; i < dev->queue_count; i++) {
        t->kick_fd[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (t->kick_fd[i] < 0)
            return -errno;
    }
    reset_registers(t);
    dev->transport = t;
    dev->config_changed = config_changed;
    return 0;
}

void virtio_transport_fini(struct virtio_transport *t)
{
    virtio_device_stop(t->dev);
    t->dev->config_changed = NULL;
    t->dev->transport = NULL;
    for (unsigned int i = 0; i < t->dev->queue_count; i++) {
        if (t->kick_fd[i] >= 0)
            (void)close(t->kick_fd[i]);
        t->dev->queue[i].kick_fd = t->dev->queue[i].call_fd = -1;
    }
    pthread_mutex_destroy(&t->lock);
}

void virtio_transport_connect_queues(struct virtio_transport *t)
{
    for (unsigned int i = 0; i < t->dev->queue_count; i++) {
        struct virtqueue *vq = &t->dev->queue[i];

        vq->kick_fd = t->kick_fd[i];
        vq->call_fd = t->ops->queue_call_fd(t, i);
        vq->isr = t->ops->shares_interrupts ? &t->isr : NULL;
        if (!t->queue_enabled[i])
            vq->size = 0;
    }
}

/* The driver says that it is ready: queues that it did not enable are not to be used. */
static void start(struct virtio_transport *t)
{
    t->dev->driver_features = t->driver_features;
    virtio_transport_connect_queues(t);
    t->start_result = -ESHUTDOWN;
    (void)loop_call_run(t->host.calls, start_on_loop, t);
    if (t->start_result < 0) {
        t->status |= VIRTIO_CONFIG_S_NEEDS_RESET;
        config_changed(t->dev);
    }
}

/* ---- Features and status (2.1, 2.2) ---- */

uint32_t virtio_transport_device_features(const struct virtio_transport *t)
{
    if (t->device_feature_select > 1)
        return 0;
    return (uint32_t)(t->dev->features >> (32 * t->device_feature_select));
}

uint32_t virtio_transport_driver_features(const struct virtio_transport *t)
{
    if (t->driver_feature_select > 1)
        return 0;
    return (uint32_t)(t->driver_features >> (32 * t->driver_feature_select));
}

void virtio_transport_set_driver_features(struct virtio_transport *t, uint32_t value)
{
    unsigned int shift = 32 * (t->driver_feature_select & 1);

    if (t->driver_feature_select > 1 || (t->status & VIRTIO_CONFIG_S_FEATURES_OK) != 0)
        return;
    t->driver_features = (t->driver_features & ~(UINT64_C(0xffffffff) << shift)) | (uint64_t)value
                                                                                       << shift;
}

uint8_t virtio_transport_status(const struct virtio_transport *t)
{
    return t->status |
           (atomic_load(&t->dev->needs_reset) ? (uint8_t)VIRTIO_CONFIG_S_NEEDS_RESET : 0);
}

void virtio_transport_set_status(struct virtio_transport *t, uint8_t status)
{
    uint8_t added = status & (uint8_t)~t->status;

    if (status == 0) {
        /* Unless calls are closed: then the VM is at its end, and so is the driver. */
        if (loop_call_run(t->host.calls, stop_on_loop, t))
            reset_registers(t);
        return;
    }
    /* Bits are only ever added (2.1.1); the driver cannot take back DEVICE_NEEDS_RESET. */
    t->status |= status & (uint8_t)~VIRTIO_CONFIG_S_NEEDS_RESET;
    if ((added & VIRTIO_CONFIG_S_FEATURES_OK) != 0 &&
        ((t->driver_features & ~t->dev->features) != 0 ||
         (t->driver_features >> VIRTIO_F_VERSION_1 & 1) == 0))
        t->status &= (uint8_t)~VIRTIO_CONFIG_S_FEATURES_OK;
    if ((added & VIRTIO_CONFIG_S_DRIVER_OK) != 0) {
        if ((t->status & VIRTIO_CONFIG_S_FEATURES_OK) != 0)
            start(t);
        else
            t->status |= VIRTIO_CONFIG_S_NEEDS_RESET;
    }
}

/* ---- Queues (2.6) ---- */

const struct virtqueue *virtio_transport_queue(const struct virtio_transport *t)
{
    return t->queue_select < t->dev->queue_count ? &t->dev->queue[t->queue_select] : NULL;
}

bool virtio_transport_queue_enabled(const struct virtio_transport *t)
{
    return t->queue_select < t->dev->queue_count && t->queue_enabled[t->queue_select];
}

struct virtqueue *virtio_transport_writable_queue(struct virtio_transport *t)
{
    if (t->queue_select >= t->dev->queue_count || t->queue_enabled[t->queue_select] ||
        (t->status & VIRTIO_CONFIG_S_DRIVER_OK) != 0)
        return NULL;
    return &t->dev->queue[t->queue_select];
}

void virtio_transport_set_queue_size(struct virtio_transport *t, uint32_t size)
{
    struct virtqueue *vq = virtio_transport_writable_queue(t);

    if (vq != NULL)
        vq->size = size < UINT16_MAX ? (uint16_t)size : UINT16_MAX;
}

void virtio_transport_enable_queue(struct virtio_transport *t, bool enable)
{
    if (t->queue_select < t->dev->queue_count && (t->status & VIRTIO_CONFIG_S_DRIVER_OK) == 0)
        t->queue_enabled[t->queue_select] = enable;
}

static uint64_t *part_address(struct virtqueue *vq, enum virtio_queue_part part)
{
    switch (part) {
    case VIRTIO_QUEUE_DESC:
        return &vq->desc_gpa;
    case VIRTIO_QUEUE_DRIVER:
        return &vq->driver_gpa;
    default:
        return &vq->device_gpa;
    }
}

uint32_t virtio_transport_queue_address(const struct virtio_transport *t,
                                        enum virtio_queue_part part, bool high)
{
    if (t->queue_select >= t->dev->queue_count)
        return 0;
    return (uint32_t)(*part_address(&t->dev->queue[t->queue_select], part) >> (high ? 32 : 0));
}

void virtio_transport_set_queue_address(struct virtio_transport *t, enum virtio_queue_part part,
                                        bool high, uint32_t value)
{
    struct virtqueue *vq = virtio_transport_writable_queue(t);
    uint64_t *address;

    if (vq == NULL)
        return;
    address = part_address(vq, part);
    if (high)
        *address = (*address & UINT32_MAX) | (uint64_t)value << 32;
    else
        *address = (*address & ~(uint64_t)UINT32_MAX) | value;
}

/* ---- The device's own configuration ---- */

uint64_t virtio_transport_config_read(struct virtio_transport *t, uint32_t offset,
                                      unsigned int size)
{
    uint64_t value = 0;

    t->dev->ops->config_read(t->dev, offset, &value, size);
    return le64toh(value);
}

void virtio_transport_config_write(struct virtio_transport *t, uint32_t offset, uint64_t value,
                                   unsigned int size)
{
    value = htole64(value);
    if (t->dev->ops->config_write != NULL)
        t->dev->ops->config_write(t->dev, offset, &value, size);
}

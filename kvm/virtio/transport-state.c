/* SPDX-License-Identifier: MIT */
/* Saves and restores a virtio device with its transport: registers, queues, the device's own. */
#include <errno.h>
#include <linux/virtio_config.h>
#include <stdlib.h>
#include <sys/eventfd.h>

#include "kvm/snapshot/format.h"
#include "kvm/virtio/transport.h"

static int save_queues(struct virtio_transport *t, Snapshot__Virtio *state)
{
    unsigned int count = t->dev->queue_count;

    state->queues = calloc(count, sizeof(*state->queues));
    if (state->queues == NULL)
        return -ENOMEM;
    for (unsigned int i = 0; i < count; i++) {
        const struct virtqueue *vq = &t->dev->queue[i];
        Snapshot__Queue *queue = SNAPSHOT_NEW(Snapshot__Queue, snapshot__queue__init);

        if (queue == NULL)
            return -ENOMEM;
        state->queues[state->n_queues++] = queue;
        queue->enabled = t->queue_enabled[i];
        queue->size = vq->size;
        queue->desc = vq->desc_gpa;
        queue->driver = vq->driver_gpa;
        queue->device = vq->device_gpa;
        queue->last_avail = vq->last_avail;
        queue->broken = vq->broken;
    }
    return 0;
}

int virtio_transport_save(struct virtio_transport *t, Snapshot__Virtio *state,
                          struct crosh_error *err)
{
    struct virtio_device *dev = t->dev;
    int code;

    if (!virtio_device_is_quiet(dev))
        return crosh_error_set(err, -EBUSY, "virtio-%s: requests are under way", dev->ops->name);
    state->device = dev->ops->device_id;
    state->driver_features = t->driver_features;
    state->status = t->status;
    state->device_feature_select = t->device_feature_select;
    state->driver_feature_select = t->driver_feature_select;
    state->queue_select = t->queue_select;
    state->isr = atomic_load(&t->isr);
    state->config_generation = atomic_load(&t->config_generation);
    state->is_started = dev->started;
    code = save_queues(t, state);
    if (code < 0)
        return crosh_error_set(err, code, "out of memory");
    if (t->ops->save != NULL)
        code = t->ops->save(t, state, err);
    if (code == 0 && dev->ops->save != NULL)
        code = dev->ops->save(dev, state, err);
    return code;
}

static int refuse(const struct virtio_transport *t, struct crosh_error *err)
{
    return crosh_error_set(err, -EBADMSG, "the state of virtio-%s makes no sense",
                           t->dev->ops->name);
}

static int restore_queues(struct virtio_transport *t, const Snapshot__Virtio *state,
                          struct crosh_error *err)
{
    if (state->n_queues != t->dev->queue_count)
        return refuse(t, err);
    for (unsigned int i = 0; i < t->dev->queue_count; i++) {
        const Snapshot__Queue *queue = state->queues[i];
        struct virtqueue *vq = &t->dev->queue[i];

        /* The rest of the rules is virtqueue_start()'s. */
        if (queue->size > UINT16_MAX || queue->last_avail > UINT16_MAX)
            return refuse(t, err);
        t->queue_enabled[i] = queue->enabled;
        vq->size = (uint16_t)queue->size;
        vq->desc_gpa = queue->desc;
        vq->driver_gpa = queue->driver;
        vq->device_gpa = queue->device;
        vq->last_avail = (uint16_t)queue->last_avail;
    }
    return 0;
}

static void restore_registers(struct virtio_transport *t, const Snapshot__Virtio *state)
{
    t->driver_features = state->driver_features;
    t->status = (uint8_t)state->status;
    t->device_feature_select = state->device_feature_select;
    t->driver_feature_select = state->driver_feature_select;
    t->queue_select = state->queue_select;
    atomic_store(&t->isr, state->isr);
    atomic_store(&t->config_generation, (uint8_t)state->config_generation);
}

static int start(struct virtio_transport *t, const Snapshot__Virtio *state, struct crosh_error *err)
{
    struct virtio_device *dev = t->dev;

    dev->driver_features = t->driver_features;
    virtio_transport_connect_queues(t);
    if (virtio_device_start(dev, t->host.memory) < 0)
        return refuse(t, err);
    for (unsigned int i = 0; i < dev->queue_count; i++) {
        struct virtqueue *vq = &dev->queue[i];

        vq->broken = vq->broken || state->queues[i]->broken;
        if (!vq->running)
            continue;
        if (vq->isr != NULL)
            atomic_fetch_or(vq->isr, VIRTIO_ISR_QUEUE);
        if (vq->call_fd >= 0)
            (void)eventfd_write(vq->call_fd, 1);
    }
    return 0;
}

int virtio_transport_restore(struct virtio_transport *t, const Snapshot__Virtio *state,
                             struct crosh_error *err)
{
    struct virtio_device *dev = t->dev;
    uint64_t missing = state->driver_features & ~dev->features;
    int code;

    if (state->device != dev->ops->device_id)
        return crosh_error_set(err, -EINVAL, "it has another device where the VM has virtio-%s",
                               dev->ops->name);
    if (missing != 0 && (state->status & VIRTIO_CONFIG_S_FEATURES_OK) != 0)
        return crosh_error_set(err, -EOPNOTSUPP,
                               "virtio-%s does not have features %#llx that the guest uses",
                               dev->ops->name, (unsigned long long)missing);
    restore_registers(t, state);
    code = restore_queues(t, state, err);
    if (code == 0 && t->ops->restore != NULL)
        code = t->ops->restore(t, state, err);
    if (code == 0 && dev->ops->restore != NULL)
        code = dev->ops->restore(dev, state, err);
    if (code == 0 && state->is_started)
        code = start(t, state, err);
    return code;
}

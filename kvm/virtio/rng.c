/* SPDX-License-Identifier: MIT */
/* virtio-rng: fills the guest's buffers from getrandom(2). */
#include "kvm/virtio/rng.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include <linux/virtio_ids.h>

/* What one request and one kick may cost; the driver asks again for more. */
#define RNG_REQUEST_MAX 4096
#define RNG_KICK_MAX    64

static void rng_config_read(struct virtio_device *dev, uint32_t offset, void *buf, uint32_t size)
{
    (void)dev;
    (void)offset;
    memset(buf, 0, size); /* there is none */
}

static int rng_start(struct virtio_device *dev)
{
    (void)dev;
    return 0;
}

static void rng_stop(struct virtio_device *dev)
{
    (void)dev;
}

static uint32_t fill(const struct virtqueue_chain *chain)
{
    uint32_t filled = 0;

    for (unsigned int i = 0; i < chain->in_count && filled < RNG_REQUEST_MAX; i++) {
        const struct iovec *segment = &chain->segment[chain->out_count + i];
        size_t size = segment->iov_len;
        ssize_t n;

        if (size > RNG_REQUEST_MAX - filled)
            size = RNG_REQUEST_MAX - filled;
        n = getrandom(segment->iov_base, size, GRND_NONBLOCK);
        if (n > 0)
            filled += (uint32_t)n;
        /* Early in the host's own boot there may be none: the driver copes with less. */
        if (n < (ssize_t)size)
            break;
    }
    return filled;
}

static void rng_kick(struct virtio_device *dev, unsigned int index)
{
    struct virtqueue *vq = &dev->queue[index];
    struct virtqueue_chain chain;
    unsigned int count;

    for (count = 0; count < RNG_KICK_MAX && virtqueue_pop(vq, &chain) > 0; count++)
        virtqueue_push(vq, chain.head, fill(&chain));
    virtqueue_notify(vq);
    virtqueue_await_kick(vq);
}

static const struct virtio_device_ops rng_ops = {
    .device_id = VIRTIO_ID_RNG,
    .name = "rng",
    .config_read = rng_config_read,
    .start = rng_start,
    .stop = rng_stop,
    .kick = rng_kick,
};

struct virtio_device *virtio_rng_new(struct event_loop *loop, struct crosh_error *err)
{
    struct virtio_device *dev = calloc(1, sizeof(*dev));

    if (dev == NULL) {
        crosh_error_errno(err, "virtio-rng");
        return NULL;
    }
    virtio_device_init(dev, &rng_ops, loop, 1);
    dev->queue[0].size_max = 8;
    return dev;
}

void virtio_rng_free(struct virtio_device *dev)
{
    if (dev == NULL)
        return;
    virtio_device_stop(dev);
    free(dev);
}

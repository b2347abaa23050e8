/* SPDX-License-Identifier: MIT */
/* Fuzzes virtio-net's queues: the input is guest memory, rings included, and what happens to it. */

/*
 * The pair of queues runs on this thread, without one of its own, so that a finding
 * can be had again. The host end judges what it is handed: a header that was not
 * checked, or a segment outside of guest memory, is a finding.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "kvm/virtio/net-internal.h"
#include "kvm/virtio/net.h"

#define RAM_BYTES 65536u
#define STEPS_MAX 32

enum { KICK_RX, KICK_TX, KICK_CONTROL, WRITE, FRAME, GO_AWAY, ACTIONS };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct fuzz_end {
    struct net_end end; /* first */
    uint8_t *ram;
    uint64_t features;  /* agreed on */
    size_t frame_bytes; /* of the next one for the guest; 0: none */
    uint8_t mood;       /* what send() answers */
};

static struct fuzz_end *fuzz_of(struct net_end *end)
{
    return (struct fuzz_end *)(void *)end;
}

static void check_segments(const struct fuzz_end *fuzz, const struct iovec *segment,
                           unsigned int count, size_t bytes)
{
    size_t sum = 0;

    for (unsigned int i = 1; i < count; i++) {
        const uint8_t *p = segment[i].iov_base;

        if (p < fuzz->ram || p >= fuzz->ram + RAM_BYTES ||
            segment[i].iov_len > (size_t)(fuzz->ram + RAM_BYTES - p))
            abort();
        sum += segment[i].iov_len;
    }
    if (sum != bytes)
        abort();
}

static int fuzz_send(struct net_end *end, unsigned int queue, struct iovec *segment,
                     unsigned int count, size_t bytes)
{
    struct fuzz_end *fuzz = fuzz_of(end);
    const struct virtio_net_hdr_v1 *header = segment[0].iov_base;
    bool needs_csum = header->flags == VIRTIO_NET_HDR_F_NEEDS_CSUM;

    (void)queue;
    check_segments(fuzz, segment, count, bytes);
    if (bytes < NET_FRAME_MIN || bytes > NET_FRAME_MAX || (header->flags != 0 && !needs_csum) ||
        (needs_csum && ((fuzz->features & NET_FEATURE(VIRTIO_NET_F_CSUM)) == 0 ||
                        (size_t)header->csum_start + header->csum_offset + 2 > bytes)) ||
        (header->gso_type != 0 &&
         (!needs_csum || header->gso_size == 0 || header->hdr_len > bytes)) ||
        header->num_buffers != 0)
        abort();
    switch (fuzz->mood) {
    case 1:
        return 1;
    case 2:
        return -EAGAIN;
    case 3:
        return -ENOTCONN;
    default:
        return 0;
    }
}

static int fuzz_flush(struct net_end *end, unsigned int queue)
{
    (void)queue;
    return fuzz_of(end)->mood == 2 ? -EAGAIN : 0;
}

static ssize_t fuzz_receive(struct net_end *end, unsigned int queue, struct iovec *segment,
                            unsigned int count)
{
    struct fuzz_end *fuzz = fuzz_of(end);
    size_t size = fuzz->frame_bytes, left = size;

    (void)queue;
    if (size == 0)
        return -EAGAIN;
    fuzz->frame_bytes = 0;
    memset(segment[0].iov_base, 0, sizeof(struct virtio_net_hdr_v1));
    for (unsigned int i = 1; i < count && left > 0; i++) {
        size_t part = segment[i].iov_len < left ? segment[i].iov_len : left;

        memset(segment[i].iov_base, (int)i, part);
        left -= part;
    }
    return (ssize_t)(size - left);
}

static int fuzz_set_offloads(struct net_end *end, uint64_t features)
{
    return (features & ~fuzz_of(end)->features) != 0 ? -EINVAL : 0;
}

static const struct net_end_ops fuzz_ops = {
    .send = fuzz_send,
    .flush = fuzz_flush,
    .receive = fuzz_receive,
    .set_offloads = fuzz_set_offloads,
};

static void on_timer(void *opaque)
{
    event_loop_quit(opaque);
}

static uint16_t take16(const uint8_t **data, size_t *size)
{
    uint16_t value = 0;
    size_t n = *size < sizeof(value) ? *size : sizeof(value);

    memcpy(&value, *data, n);
    *data += n;
    *size -= n;
    return value;
}

/* Where the queues' parts lie: within reach, sensible or not. */
static void place(struct virtqueue *vq, const uint8_t **data, size_t *size)
{
    vq->size = (uint16_t)(1u << take16(data, size) % 9);
    vq->desc_gpa = (uint64_t)(take16(data, size) & ~15u);
    vq->driver_gpa = (uint64_t)(take16(data, size) & ~1u);
    vq->device_gpa = (uint64_t)(take16(data, size) & ~3u);
    vq->kick_fd = eventfd(0, EFD_NONBLOCK);
}

/* True: the loop has something to do then. */
static bool act(struct virtio_net *net, struct fuzz_end *fuzz, const uint8_t **data, size_t *size)
{
    uint16_t what = take16(data, size), value = take16(data, size);

    switch ((what & 0xff) % ACTIONS) {
    case KICK_RX:
        (void)eventfd_write(net->dev.queue[0].kick_fd, 1);
        return true;
    case KICK_TX:
        (void)eventfd_write(net->dev.queue[1].kick_fd, 1);
        return true;
    case KICK_CONTROL:
        net->dev.ops->kick(&net->dev, 2);
        break;
    case WRITE: /* 16 bits of guest memory, an index for instance */
        value = (uint16_t)(value & ~1u);
        memcpy(fuzz->ram + value, *data, *size < 2 ? *size : 2);
        (void)take16(data, size);
        break;
    case FRAME:
        fuzz->frame_bytes = value + (size_t)(what >> 12);
        return true;
    default:
        fuzz->mood = (uint8_t)(value & 3);
        break;
    }
    return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_end fuzz = {.end = {.ops = &fuzz_ops, .queue_count = 1}};
    struct nic nic = {.end = &fuzz.end, .mac = {2}};
    struct guest_memory memory = {.count = 0};
    static struct event_loop *loop; /* for all inputs: making one takes long */
    static struct event_source *timer;
    struct virtio_net *net;
    bool runs = true;

    if (loop == NULL) {
        loop = event_loop_new(NULL);
        timer = event_timer_add(loop, on_timer, loop);
    }
    fuzz.end.features = NET_GUEST_OFFLOADS | NET_FEATURE(VIRTIO_NET_F_CSUM) |
                        NET_FEATURE(VIRTIO_NET_F_HOST_TSO4) | NET_FEATURE(VIRTIO_NET_F_HOST_TSO6) |
                        NET_FEATURE(VIRTIO_NET_F_HOST_ECN) | NET_FEATURE(VIRTIO_NET_F_HOST_USO);
    fuzz.end.fd[0] = eventfd(1, EFD_NONBLOCK); /* always readable and writable */
    fuzz.ram = aligned_alloc(4096, RAM_BYTES);
    memset(fuzz.ram, 0, RAM_BYTES);
    if (guest_memory_add(&memory, 0, RAM_BYTES, fuzz.ram, 0) < 0)
        abort();
    net = (struct virtio_net *)(void *)virtio_net_new(loop, &nic, 1, NULL);
    net->dev.driver_features = net->dev.features;
    if ((take16(&data, &size) & 1) != 0)
        net->dev.driver_features &= ~NET_FEATURE(VIRTIO_NET_F_MRG_RXBUF);
    if ((take16(&data, &size) & 1) != 0)
        net->dev.driver_features &= ~NET_FEATURE(VIRTIO_NET_F_CSUM);
    fuzz.features = net->dev.driver_features;
    for (unsigned int i = 0; i < 3; i++) {
        struct virtqueue *vq = &net->dev.queue[i];

        place(vq, &data, &size);
        vq->event_idx = (vq->desc_gpa & 16) != 0;
    }
    /* The script is the first part of what is left, memory the rest. */
    if (size > STEPS_MAX * 6)
        memcpy(fuzz.ram, data + STEPS_MAX * 6,
               size - STEPS_MAX * 6 < RAM_BYTES ? size - STEPS_MAX * 6 : RAM_BYTES);
    for (unsigned int i = 0; i < 3; i++)
        runs = runs && virtqueue_start(&net->dev.queue[i], &memory) == 0;
    net->pair[0].loop = loop;
    if (runs && net_pair_start(&net->pair[0]) == 0) {
        for (unsigned int i = 0; i < STEPS_MAX && size > 0; i++) {
            if (!act(net, &fuzz, &data, &size))
                continue;
            event_timer_set(timer, 0);
            (void)event_loop_run(loop, NULL);
        }
    }
    net_pair_stop(&net->pair[0]);
    net->pair[0].loop = NULL;
    for (unsigned int i = 0; i < 3; i++)
        close(net->dev.queue[i].kick_fd);
    virtio_net_free(&net->dev);
    close(fuzz.end.fd[0]);
    free(fuzz.ram);
    return 0;
}

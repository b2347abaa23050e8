/* SPDX-License-Identifier: MIT */
/* virtio-balloon: returns pages that the guest does without to the host. */

/*
 * Theory of operation
 *
 * Two ways lead memory back to the host. By inflation the guest hands over pages that
 * it was asked for (num_pages) one by one, as 4 KiB page numbers, and does without them
 * until it deflates; with DEFLATE_ON_OOM it may take some back by itself. By reporting it
 * tells of large blocks that are free right now; it may use them again at any time.
 * Either way the host's pages are dropped (guest_memory_discard()), and the next touch
 * faults new ones in: so nothing needs to be done to deflate.
 *
 * The numbers come from the guest. They are copied, sorted, joined to runs (each run is a
 * system call) and checked by guest_memory_at(); what lies outside is ignored. A guest can
 * only drop memory of its own, which it could as well overwrite. What one kick may cost is
 * bounded, so that the rest of the launcher gets its turn.
 *
 * Statistics: the driver leaves a buffer with them on their queue, and fills it anew each
 * time it gets it back. So between two questions the buffer stays where it is: it is read
 * (popped and unpopped) when it comes, and taken when new ones are asked for.
 */
#include "kvm/virtio/balloon.h"

#include <endian.h>
#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <linux/virtio_balloon.h>
#include <linux/virtio_ids.h>

#include "kvm/snapshot/format.h"

#define BALLOON_QUEUE_SIZE 128
#define PAGE_SHIFT         VIRTIO_BALLOON_PFN_SHIFT
#define CHAIN_PAGES_MAX    1024 /* Linux's driver sends 256 */
#define KICK_PAGES_MAX     8192
#define KICK_SEGMENTS_MAX  512
#define REPORTED_STATS_MAX 32 /* entries read of one buffer */
#define TELL_MS            250

/*
 * Queue numbers (5.5.2). A driver may leave out those of features that were not agreed on
 * and move later ones up, as Linux does: the reporting queue is the last that is left, and
 * as no free page hints are offered, nothing else is behind the statistics.
 */
enum { QUEUE_INFLATE, QUEUE_DEFLATE, QUEUE_STATS, BALLOON_QUEUES = 5 };

struct virtio_balloon {
    struct virtio_device dev;
    const struct virtio_balloon_ops *balloon_ops;
    void *opaque;
    int written_fd; /* the driver wrote its size: on another thread */
    struct event_source *written;
    struct event_source *tell; /* what changed in a short while is told once */
    bool will_tell;
    uint32_t actual_told;
    /* In pages of 4 KiB: the configuration is read and written on other threads. */
    _Atomic uint32_t target, actual;
    uint64_t reported_bytes;
    bool is_restored; /* the start that follows is that of a driver which goes on */
    bool stats_asked;
    uint32_t stats_known;
    uint64_t stat[VIRTIO_BALLOON_STATS];
};

static struct virtio_balloon *balloon_of(struct virtio_device *dev)
{
    return (struct virtio_balloon *)dev;
}

static void balloon_config_read(struct virtio_device *dev, uint32_t offset, void *buf,
                                uint32_t size)
{
    struct virtio_balloon *balloon = balloon_of(dev);
    const struct virtio_balloon_config config = {
        .num_pages = htole32(atomic_load(&balloon->target)),
        .actual = htole32(atomic_load(&balloon->actual)),
    };

    virtio_config_copy(&config, sizeof(config), offset, buf, size);
}

static void balloon_config_write(struct virtio_device *dev, uint32_t offset, const void *buf,
                                 uint32_t size)
{
    uint32_t actual;

    if (offset != offsetof(struct virtio_balloon_config, actual) || size != sizeof(actual))
        return;
    memcpy(&actual, buf, sizeof(actual));
    atomic_store(&balloon_of(dev)->actual, le32toh(actual));
    (void)eventfd_write(balloon_of(dev)->written_fd, 1);
}

static void on_written(void *opaque, uint32_t events)
{
    struct virtio_balloon *balloon = opaque;
    eventfd_t count;

    (void)events;
    (void)eventfd_read(balloon->written_fd, &count);
    if (!balloon->will_tell)
        event_timer_set(balloon->tell, TELL_MS);
    balloon->will_tell = true;
}

static void on_tell(void *opaque)
{
    struct virtio_balloon *balloon = opaque;
    uint32_t actual = atomic_load(&balloon->actual);

    balloon->will_tell = false;
    if (actual == balloon->actual_told)
        return;
    balloon->actual_told = actual;
    balloon->balloon_ops->changed(balloon->opaque);
}

/* Inflation and deflation */

static int compare_pages(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

/* Drops count pages from page number first on, as far as they are the guest's. */
static void discard_run(const struct guest_memory *memory, uint64_t first, uint64_t count)
{
    void *host = guest_memory_at(memory, first << PAGE_SHIFT, count << PAGE_SHIFT);

    if (host != NULL)
        (void)guest_memory_discard(memory, host, count << PAGE_SHIFT);
    else if (count > 1) /* some are not, or they lie in two regions */
        for (uint64_t i = 0; i < count; i++)
            discard_run(memory, first + i, 1);
}

/* Returns how many pages the chain names. */
static unsigned int discard_chain(const struct virtqueue *vq, const struct virtqueue_chain *chain)
{
    uint32_t page[CHAIN_PAGES_MAX];
    unsigned int count =
        (unsigned int)(virtqueue_chain_read(chain, 0, page, sizeof(page)) / sizeof(page[0]));

    for (unsigned int i = 0; i < count; i++)
        page[i] = le32toh(page[i]);
    qsort(page, count, sizeof(page[0]), compare_pages);
    for (unsigned int i = 0, end; i < count; i = end) {
        for (end = i + 1; end < count && page[end] - page[end - 1] <= 1; end++)
            ;
        discard_run(vq->memory, page[i], (uint64_t)page[end - 1] - page[i] + 1);
    }
    return count;
}

static void inflate(struct virtqueue *vq)
{
    struct virtqueue_chain chain;
    unsigned int pages = 0;

    while (pages < KICK_PAGES_MAX && virtqueue_pop(vq, &chain) > 0) {
        pages += 1 + discard_chain(vq, &chain);
        virtqueue_push(vq, chain.head, 0);
    }
    virtqueue_notify(vq);
    virtqueue_await_kick(vq);
}

static void deflate(struct virtqueue *vq)
{
    struct virtqueue_chain chain;

    for (unsigned int i = 0; i < KICK_SEGMENTS_MAX && virtqueue_pop(vq, &chain) > 0; i++)
        virtqueue_push(vq, chain.head, 0);
    virtqueue_notify(vq);
    virtqueue_await_kick(vq);
}

/* Reports of free pages (5.5.6.7): a chain's segments are the pages. */
static void take_reports(struct virtio_balloon *balloon, struct virtqueue *vq)
{
    struct virtqueue_chain chain;
    unsigned int segments = 0;

    while (segments < KICK_SEGMENTS_MAX && virtqueue_pop(vq, &chain) > 0) {
        for (unsigned int i = 0; i < chain.in_count; i++) {
            const struct iovec *segment = &chain.segment[chain.out_count + i];

            if (guest_memory_discard(vq->memory, segment->iov_base, segment->iov_len) == 0)
                balloon->reported_bytes += segment->iov_len;
        }
        segments += 1 + chain.in_count;
        virtqueue_push(vq, chain.head, 0);
    }
    virtqueue_notify(vq);
    virtqueue_await_kick(vq);
}

/* Statistics (5.5.6.3) */

static void read_stats(struct virtio_balloon *balloon, const struct virtqueue_chain *chain)
{
    struct virtio_balloon_stat stats[REPORTED_STATS_MAX];
    size_t count = virtqueue_chain_read(chain, 0, stats, sizeof(stats)) / sizeof(stats[0]);

    balloon->stats_known = 0;
    for (size_t i = 0; i < count; i++) {
        unsigned int tag = le16toh(stats[i].tag);

        if (tag < VIRTIO_BALLOON_STATS) {
            balloon->stat[tag] = le64toh(stats[i].val);
            balloon->stats_known |= 1u << tag;
        }
    }
}

/* A buffer has come: with answers, or the first one. */
static void hear_stats(struct virtio_balloon *balloon, struct virtqueue *vq)
{
    struct virtqueue_chain chain;

    if (virtqueue_pop(vq, &chain) <= 0)
        return;
    read_stats(balloon, &chain);
    virtqueue_unpop(vq);
    if (balloon->stats_asked) {
        balloon->stats_asked = false;
        balloon->balloon_ops->stats(balloon->opaque);
    }
}

static bool has_stats_queue(struct virtio_device *dev)
{
    return virtio_device_has_feature(dev, VIRTIO_BALLOON_F_STATS_VQ);
}

bool virtio_balloon_ask_stats(struct virtio_device *dev)
{
    struct virtio_balloon *balloon = balloon_of(dev);
    struct virtqueue *vq = &dev->queue[QUEUE_STATS];
    struct virtqueue_chain chain;

    if (!dev->started || !has_stats_queue(dev))
        return false;
    if (balloon->stats_asked)
        return true;
    if (virtqueue_pop(vq, &chain) <= 0)
        return false;
    balloon->stats_asked = true;
    /* For the answer; before the driver can give it. */
    virtqueue_enable_kicks(vq, true);
    virtqueue_push(vq, chain.head, 0);
    virtqueue_notify(vq);
    return true;
}

/* The device */

static int balloon_start(struct virtio_device *dev)
{
    struct virtio_balloon *balloon = balloon_of(dev);

    balloon->stats_asked = false;
    /* A driver that begins anew has all of its memory, whatever was written without one. */
    if (!balloon->is_restored)
        atomic_store(&balloon->actual, 0);
    balloon->is_restored = false;
    return 0;
}

static void balloon_stop(struct virtio_device *dev)
{
    struct virtio_balloon *balloon = balloon_of(dev);

    balloon->stats_known = 0;
    balloon->stats_asked = false;
}

static void balloon_kick(struct virtio_device *dev, unsigned int index)
{
    struct virtio_balloon *balloon = balloon_of(dev);
    struct virtqueue *vq = &dev->queue[index];

    if (index == QUEUE_INFLATE)
        inflate(vq);
    else if (index == QUEUE_DEFLATE)
        deflate(vq);
    else if (index == QUEUE_STATS && has_stats_queue(dev))
        hear_stats(balloon, vq);
    else if (virtio_device_has_feature(dev, VIRTIO_BALLOON_F_REPORTING))
        take_reports(balloon, vq);
}

static int balloon_save(struct virtio_device *dev, Snapshot__Virtio *state, struct crosh_error *err)
{
    struct virtio_balloon *balloon = balloon_of(dev);
    Snapshot__Balloon *own = SNAPSHOT_NEW(Snapshot__Balloon, snapshot__balloon__init);

    if (own == NULL)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    own->target = atomic_load(&balloon->target);
    own->actual = atomic_load(&balloon->actual);
    state->balloon = own;
    return 0;
}

static int balloon_restore(struct virtio_device *dev, const Snapshot__Virtio *state,
                           struct crosh_error *err)
{
    struct virtio_balloon *balloon = balloon_of(dev);

    if (state->balloon == NULL)
        return crosh_error_set(err, -EBADMSG, "the state of virtio-balloon is missing");
    atomic_store(&balloon->target, state->balloon->target);
    atomic_store(&balloon->actual, state->balloon->actual);
    balloon->is_restored = state->is_started;
    return 0;
}

static const struct virtio_device_ops balloon_ops = {
    .device_id = VIRTIO_ID_BALLOON,
    .name = "balloon",
    .config_read = balloon_config_read,
    .config_write = balloon_config_write,
    .start = balloon_start,
    .stop = balloon_stop,
    .kick = balloon_kick,
    .save = balloon_save,
    .restore = balloon_restore,
};

static void free_balloon(struct virtio_balloon *balloon)
{
    event_remove(balloon->tell);
    event_remove(balloon->written);
    if (balloon->written_fd >= 0)
        close(balloon->written_fd);
    free(balloon);
}

struct virtio_device *virtio_balloon_new(struct event_loop *loop,
                                         const struct virtio_balloon_ops *ops, void *opaque,
                                         struct crosh_error *err)
{
    struct virtio_balloon *balloon = calloc(1, sizeof(*balloon));

    if (balloon == NULL) {
        crosh_error_errno(err, "virtio-balloon");
        return NULL;
    }
    balloon->written_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (balloon->written_fd < 0 ||
        (balloon->written = event_add(loop, balloon->written_fd, EPOLLIN, on_written, balloon)) ==
            NULL ||
        (balloon->tell = event_timer_add(loop, on_tell, balloon)) == NULL) {
        crosh_error_errno(err, "virtio-balloon");
        free_balloon(balloon);
        return NULL;
    }
    virtio_device_init(&balloon->dev, &balloon_ops, loop, BALLOON_QUEUES);
    balloon->dev.features |= 1ULL << VIRTIO_BALLOON_F_STATS_VQ |
                             1ULL << VIRTIO_BALLOON_F_DEFLATE_ON_OOM |
                             1ULL << VIRTIO_BALLOON_F_REPORTING;
    for (unsigned int i = 0; i < BALLOON_QUEUES; i++)
        balloon->dev.queue[i].size_max = BALLOON_QUEUE_SIZE;
    balloon->balloon_ops = ops;
    balloon->opaque = opaque;
    return &balloon->dev;
}

void virtio_balloon_free(struct virtio_device *dev)
{
    if (dev == NULL)
        return;
    virtio_device_stop(dev);
    free_balloon(balloon_of(dev));
}

void virtio_balloon_set_target(struct virtio_device *dev, uint64_t bytes)
{
    uint64_t pages = bytes >> PAGE_SHIFT;

    atomic_store(&balloon_of(dev)->target, pages < UINT32_MAX ? (uint32_t)pages : UINT32_MAX);
    virtio_device_config_changed(dev);
}

void virtio_balloon_get_info(struct virtio_device *dev, struct virtio_balloon_info *info)
{
    struct virtio_balloon *balloon = balloon_of(dev);

    *info = (struct virtio_balloon_info){
        .has_driver = dev->started,
        .can_report = dev->started && virtio_device_has_feature(dev, VIRTIO_BALLOON_F_REPORTING),
        .target_bytes = (uint64_t)atomic_load(&balloon->target) << PAGE_SHIFT,
        .actual_bytes = dev->started ? (uint64_t)atomic_load(&balloon->actual) << PAGE_SHIFT : 0,
        .reported_bytes = balloon->reported_bytes,
        .stats_known = balloon->stats_known,
    };
    memcpy(info->stat, balloon->stat, sizeof(info->stat));
}

/* SPDX-License-Identifier: MIT */
/* The virtio-blk device: its configuration, its start and stop, and what is changed as it runs. */
#include "kvm/virtio/blk.h"

#include <endian.h>
#include <errno.h>
#include <linux/virtio_ids.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "kvm/virtio/blk-internal.h"

static struct virtio_blk *blk_of(struct virtio_device *dev)
{
    return (struct virtio_blk *)(void *)dev;
}

/* From vcpu threads: a change is seen whole, or the generation that the transport counts differs.
 */
static void blk_config_read(struct virtio_device *dev, uint32_t offset, void *buf, uint32_t size)
{
    struct virtio_blk *blk = blk_of(dev);

    pthread_mutex_lock(&blk->config_lock);
    virtio_config_copy(&blk->config, sizeof(blk->config), offset, buf, size);
    pthread_mutex_unlock(&blk->config_lock);
}

/* Lets throttled requests go, or holds them again. */
static void set_hurried(struct virtio_blk *blk, bool is_hurried)
{
    pthread_mutex_lock(&blk->lock);
    blk->is_hurried = is_hurried;
    pthread_cond_broadcast(&blk->hurry);
    pthread_mutex_unlock(&blk->lock);
}

static void blk_hold(struct virtio_device *dev)
{
    struct virtio_blk *blk = blk_of(dev);

    for (unsigned int i = 0; i < dev->queue_count; i++)
        blk_queue_hold(&blk->queue[i]);
    /* What waits for the limiter is done soon: a snapshot waits for it. */
    set_hurried(blk, true);
}

/* The release from a hold. */
static void blk_kick(struct virtio_device *dev, unsigned int index)
{
    struct virtio_blk *blk = blk_of(dev);

    set_hurried(blk, false);
    blk_queue_release(&blk->queue[index]);
}

static bool blk_has_own_kicks(struct virtio_device *dev, unsigned int index)
{
    (void)dev, (void)index;
    return true;
}

/* What a snapshot holds is in the queues; but not the requests that wait for room. */
static int blk_save(struct virtio_device *dev, Snapshot__Virtio *state, struct crosh_error *err)
{
    (void)state;
    if (!atomic_load(&blk_of(dev)->is_full))
        return 0;
    crosh_error_set(err, -ENOSPC, "the host has no room for what the guest writes to its disk");
    return crosh_error_hint(err, "free some space first: the VM then goes on by itself");
}

static void set_not_full(struct virtio_blk *blk)
{
    bool was_told = blk->is_full_told;

    if (blk->room_timer != NULL)
        event_timer_set(blk->room_timer, -1);
    atomic_store(&blk->is_full, false);
    blk->is_full_told = false;
    if (was_told && blk->full != NULL)
        blk->full(blk->opaque, false);
}

static int blk_start(struct virtio_device *dev)
{
    struct virtio_blk *blk = blk_of(dev);
    int code = 0;

    for (unsigned int i = 0; i < dev->queue_count && code == 0; i++) {
        if (!dev->queue[i].running || dev->queue[i].kick_fd < 0)
            continue;
        code = blk_queue_open(blk, &blk->queue[i]);
        blk_queue_kick(&blk->queue[i]);
    }
    if (code == 0 && blk->is_change_untold && dev->config_changed != NULL)
        dev->config_changed(dev);
    blk->is_change_untold = false;
    return code;
}

static void blk_stop(struct virtio_device *dev)
{
    struct virtio_blk *blk = blk_of(dev);

    /* The loop's thread waits here, so a request may not take as long as the guest likes. */
    atomic_store(&blk->disk.is_cancelled, true);
    set_hurried(blk, true);
    for (unsigned int i = 0; i < dev->queue_count; i++)
        blk_queue_close(blk, &blk->queue[i]);
    set_hurried(blk, false);
    atomic_store(&blk->disk.is_cancelled, false);
    set_not_full(blk);
}

static const struct virtio_device_ops blk_ops = {
    .device_id = VIRTIO_ID_BLOCK,
    .name = "blk",
    .config_read = blk_config_read,
    .start = blk_start,
    .stop = blk_stop,
    .kick = blk_kick,
    .hold = blk_hold,
    .has_own_kicks = blk_has_own_kicks,
    .save = blk_save,
};

/* ---- While it runs ---- */

static void look_for_room(void *opaque)
{
    struct virtio_blk *blk = opaque;
    off_t offset, bytes;

    if (!atomic_load(&blk->is_full))
        return;
    pthread_mutex_lock(&blk->lock);
    offset = blk->wanted_offset;
    bytes = blk->wanted_bytes;
    pthread_mutex_unlock(&blk->lock);
    if (raw_disk_reserve(&blk->disk, offset, bytes) < 0) {
        event_timer_set(blk->room_timer, BLK_ROOM_INTERVAL_MS);
        return;
    }
    set_not_full(blk);
    for (unsigned int i = 0; i < blk->dev.queue_count; i++)
        if (blk->dev.queue[i].running)
            blk_queue_kick(&blk->queue[i]);
}

void virtio_blk_retry(struct virtio_device *dev)
{
    look_for_room(blk_of(dev));
}

bool virtio_blk_is_full(struct virtio_device *dev)
{
    return atomic_load(&blk_of(dev)->is_full);
}

uint64_t virtio_blk_bytes(const struct virtio_device *dev)
{
    const struct virtio_blk *blk = (const struct virtio_blk *)(const void *)dev;

    return atomic_load(&blk->disk.sectors) * DISK_SECTOR;
}

int virtio_blk_resize(struct virtio_device *dev, uint64_t bytes, struct crosh_error *err)
{
    struct virtio_blk *blk = blk_of(dev);
    int code = raw_disk_resize(&blk->disk, bytes, err);

    if (code <= 0)
        return code;
    pthread_mutex_lock(&blk->config_lock);
    blk->config.capacity = htole64(atomic_load(&blk->disk.sectors));
    virtio_device_config_changed(dev);
    pthread_mutex_unlock(&blk->config_lock);
    blk->is_change_untold = !dev->started;
    return code;
}

void virtio_blk_set_limits(struct virtio_device *dev, const struct rate_limits *limits)
{
    struct virtio_blk *blk = blk_of(dev);

    pthread_mutex_lock(&blk->lock);
    rate_limiter_set(&blk->limiter, limits, blk_now_ns());
    blk->limit_changes++;
    pthread_cond_broadcast(&blk->hurry);
    pthread_mutex_unlock(&blk->lock);
    atomic_store(&blk->is_limited, rate_limits_any(limits));
}

struct rate_limits virtio_blk_limits(struct virtio_device *dev)
{
    struct virtio_blk *blk = blk_of(dev);
    struct rate_limits limits;

    pthread_mutex_lock(&blk->lock);
    limits = rate_limiter_get(&blk->limiter);
    pthread_mutex_unlock(&blk->lock);
    return limits;
}

struct virtio_blk_stats virtio_blk_stats(struct virtio_device *dev)
{
    const struct blk_counters *counters = &blk_of(dev)->counters;

    return (struct virtio_blk_stats){
        .reads = atomic_load(&counters->reads),
        .writes = atomic_load(&counters->writes),
        .flushes = atomic_load(&counters->flushes),
        .discards = atomic_load(&counters->discards),
        .read_bytes = atomic_load(&counters->read_bytes),
        .written_bytes = atomic_load(&counters->written_bytes),
        .errors = atomic_load(&counters->errors),
        .throttled_ns = atomic_load(&counters->throttled_ns),
    };
}

/* ---- Construction ---- */

/* The disk's serial number as the guest sees it (/dev/disk/by-id): the end of its file's name. */
static void set_id(struct virtio_blk *blk, const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash != NULL ? slash + 1 : path;
    size_t length = strlen(name);

    if (length > sizeof(blk->id))
        name += length - sizeof(blk->id);
    memcpy(blk->id, name, strnlen(name, sizeof(blk->id)));
}

static void set_config(struct virtio_blk *blk)
{
    uint64_t features = UINT64_C(1) << VIRTIO_BLK_F_SEG_MAX | UINT64_C(1) << VIRTIO_BLK_F_FLUSH |
                        UINT64_C(1) << VIRTIO_BLK_F_BLK_SIZE | UINT64_C(1) << VIRTIO_BLK_F_TOPOLOGY;

    if (blk->dev.queue_count > 1)
        features |= UINT64_C(1) << VIRTIO_BLK_F_MQ;
    if (blk->disk.is_read_only)
        features |= UINT64_C(1) << VIRTIO_BLK_F_RO;
    else
        features |= UINT64_C(1) << VIRTIO_BLK_F_DISCARD | UINT64_C(1) << VIRTIO_BLK_F_WRITE_ZEROES;
    blk->dev.features |= features;
    blk->config = (struct virtio_blk_config){
        .capacity = htole64(atomic_load(&blk->disk.sectors)),
        .seg_max = htole32(BLK_MAX_SEGMENTS),
        .blk_size = htole32(DISK_SECTOR),
        /* The host's page cache works in pages: smaller writes read the page first. */
        .physical_block_exp = 3,
        .min_io_size = htole16(4096 / DISK_SECTOR),
        .num_queues = htole16((uint16_t)blk->dev.queue_count),
        .max_discard_sectors = htole32(BLK_MAX_RANGE_SECTORS),
        .max_discard_seg = htole32(BLK_MAX_RANGES),
        .discard_sector_alignment = htole32(4096 / DISK_SECTOR),
        .max_write_zeroes_sectors = htole32(BLK_MAX_RANGE_SECTORS),
        .max_write_zeroes_seg = htole32(BLK_MAX_RANGES),
        .write_zeroes_may_unmap = 1,
    };
}

static void init_locks(struct virtio_blk *blk)
{
    pthread_condattr_t monotonic;

    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&blk->hurry, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
    blk->lock = blk->config_lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
    for (unsigned int i = 0; i < VIRTIO_BLK_MAX_QUEUES; i++) {
        blk->queue[i].vq = &blk->dev.queue[i];
        blk->queue[i].lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
        blk->queue[i].quiet = (pthread_cond_t)PTHREAD_COND_INITIALIZER;
    }
}

static int open_disk(struct virtio_blk *blk, const struct virtio_blk_setup *setup,
                     struct crosh_error *err)
{
    if (setup->fd >= 0)
        return raw_disk_adopt(&blk->disk, setup->fd, setup->path, setup->read_only, err);
    return raw_disk_open(&blk->disk, setup->path, setup->read_only, err);
}

struct virtio_device *virtio_blk_new(struct event_loop *loop, const struct virtio_blk_setup *setup,
                                     struct crosh_error *err)
{
    struct virtio_blk *blk = calloc(1, sizeof(*blk));
    unsigned int queues = setup->queues;
    int code;

    if (blk == NULL) {
        if (setup->fd >= 0)
            (void)close(setup->fd);
        crosh_error_set(err, -ENOMEM, "out of memory");
        return NULL;
    }
    blk->disk.fd = blk->epoll_fd = blk->end_fd = blk->ask_fd = -1;
    blk->full = setup->full;
    blk->opaque = setup->opaque;
    if (queues < 1 || queues > VIRTIO_BLK_MAX_QUEUES)
        queues = queues < 1 ? 1 : VIRTIO_BLK_MAX_QUEUES;
    virtio_device_init(&blk->dev, &blk_ops, loop, queues);
    for (unsigned int i = 0; i < queues; i++)
        blk->dev.queue[i].size_max = BLK_QUEUE_SIZE;
    init_locks(blk);
    if (open_disk(blk, setup, err) < 0) {
        virtio_blk_free(&blk->dev);
        return NULL;
    }
    set_id(blk, setup->path);
    set_config(blk);
    virtio_blk_set_limits(&blk->dev, &setup->limits);
    blk->room_timer = event_timer_add(loop, look_for_room, blk);
    code = blk->room_timer != NULL ? blk_workers_init(blk) : -errno;
    if (code < 0) {
        crosh_error_set(err, code, "disk %s: %s", setup->path, strerror(-code));
        virtio_blk_free(&blk->dev);
        return NULL;
    }
    return &blk->dev;
}

void virtio_blk_free(struct virtio_device *dev)
{
    struct virtio_blk *blk;

    if (dev == NULL)
        return;
    blk = blk_of(dev);
    blk->full = NULL; /* nobody is to act on it any more */
    virtio_device_stop(dev);
    blk_workers_fini(blk);
    event_remove(blk->room_timer);
    raw_disk_close(&blk->disk);
    for (unsigned int i = 0; i < VIRTIO_BLK_MAX_QUEUES; i++) {
        pthread_mutex_destroy(&blk->queue[i].lock);
        pthread_cond_destroy(&blk->queue[i].quiet);
    }
    pthread_cond_destroy(&blk->hurry);
    pthread_mutex_destroy(&blk->lock);
    pthread_mutex_destroy(&blk->config_lock);
    free(blk);
}

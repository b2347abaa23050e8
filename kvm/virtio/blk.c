/* SPDX-License-Identifier: MIT */
/* Implements virtio-blk: requests are taken on the loop's thread and served on a worker's. */

/*
 * The queue belongs to the loop's thread, which copies and checks each request
 * before the worker sees it; a slow disk holds up nobody else. There are as many
 * request slots as the queue has entries.
 * Two lists, guarded by one lock, carry the slots: waiting (to the worker) and done
 * (back, announced by an eventfd). stop() waits for the request being served, as
 * the worker reads and writes guest memory.
 */
#include "kvm/virtio/blk.h"

#include <endian.h>
#include <errno.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_ids.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "kvm/disk/raw.h"
#include "kvm/sandbox/sandbox.h"

enum {
    QUEUE_SIZE = 128,
    MAX_SEGMENTS = QUEUE_SIZE - 2, /* beside the header and the status */
    /* Bounds on one discard or write-zeroes request. */
    MAX_RANGES = 16,
    MAX_RANGE_SECTORS = 1 << 22, /* 2 GiB */
};

struct blk_request {
    struct blk_request *next;
    uint16_t head;
    uint32_t type;
    uint64_t sector;
    int code; /* 0, or what went wrong: the worker's answer */
    uint8_t *status;
    uint32_t data_in; /* bytes written into the guest's buffers, less the status */
    int segment_count;
    struct iovec segment[VIRTQUEUE_MAX_SIZE];
    unsigned int range_count;
    struct virtio_blk_discard_write_zeroes range[MAX_RANGES];
};

struct blk_list {
    struct blk_request *first, **last;
};

struct virtio_blk {
    struct virtio_device dev; /* first */
    struct raw_disk disk;
    char id[VIRTIO_BLK_ID_BYTES];
    struct virtio_blk_config config;

    pthread_t worker;
    bool has_worker;
    int done_fd;
    struct event_source *done_source;

    pthread_mutex_t lock;
    pthread_cond_t wake; /* the worker: there is work, or the end */
    pthread_cond_t idle; /* stop(): the worker has put its request down */
    struct blk_list waiting, done;
    bool is_busy, is_ending;

    /* The loop's thread's own. */
    struct blk_request *free;
    bool is_starved; /* requests wait in the queue for want of a slot */
    struct blk_request slot[QUEUE_SIZE];
};

static struct virtio_blk *blk_of(struct virtio_device *dev)
{
    return (struct virtio_blk *)(void *)dev;
}

static void list_clear(struct blk_list *list)
{
    list->first = NULL;
    list->last = &list->first;
}

static void list_append(struct blk_list *list, struct blk_request *request)
{
    request->next = NULL;
    *list->last = request;
    list->last = &request->next;
}

static struct blk_request *list_take(struct blk_list *list)
{
    struct blk_request *request = list->first;

    if (request != NULL) {
        list->first = request->next;
        if (list->first == NULL)
            list->last = &list->first;
    }
    return request;
}

/* ---- The worker ---- */

static int serve_ranges(struct virtio_blk *blk, struct blk_request *request)
{
    for (unsigned int i = 0; i < request->range_count; i++) {
        const struct virtio_blk_discard_write_zeroes *range = &request->range[i];
        uint64_t sector = le64toh(range->sector);
        uint32_t count = le32toh(range->num_sectors);
        bool may_unmap = (le32toh(range->flags) & VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP) != 0;
        int code;

        if (atomic_load(&blk->disk.is_cancelled))
            return -ECANCELED;
        if (request->type == VIRTIO_BLK_T_DISCARD)
            code = raw_disk_discard(&blk->disk, sector, count);
        else
            code = raw_disk_zero(&blk->disk, sector, count, !may_unmap);
        if (code < 0)
            return code;
    }
    return 0;
}

static int serve(struct virtio_blk *blk, struct blk_request *request)
{
    switch (request->type) {
    case VIRTIO_BLK_T_IN:
        return raw_disk_read(&blk->disk, request->sector, request->segment, request->segment_count);
    case VIRTIO_BLK_T_OUT:
        return raw_disk_write(&blk->disk, request->sector, request->segment,
                              request->segment_count);
    case VIRTIO_BLK_T_FLUSH:
        return raw_disk_flush(&blk->disk);
    case VIRTIO_BLK_T_DISCARD:
    case VIRTIO_BLK_T_WRITE_ZEROES:
        return serve_ranges(blk, request);
    default:
        return -EOPNOTSUPP;
    }
}

static void *worker_thread(void *opaque)
{
    struct virtio_blk *blk = opaque;

    bool is_confined;

    (void)pthread_setname_np(pthread_self(), "blk");
    is_confined = sandbox_enter_thread(SANDBOX_THREAD_DISK) == 0;
    pthread_mutex_lock(&blk->lock);
    while (!blk->is_ending) {
        struct blk_request *request = list_take(&blk->waiting);

        if (request == NULL) {
            pthread_cond_wait(&blk->wake, &blk->lock);
            continue;
        }
        blk->is_busy = true;
        pthread_mutex_unlock(&blk->lock);
        request->code = is_confined ? serve(blk, request) : -EPERM;
        pthread_mutex_lock(&blk->lock);
        blk->is_busy = false;
        pthread_cond_signal(&blk->idle);
        if (blk->done.first == NULL)
            (void)eventfd_write(blk->done_fd, 1);
        list_append(&blk->done, request);
    }
    pthread_mutex_unlock(&blk->lock);
    return NULL;
}

/* ---- The loop's thread ---- */

static void complete(struct virtio_blk *blk, struct blk_request *request)
{
    uint8_t status = VIRTIO_BLK_S_OK;

    if (request->code == -EOPNOTSUPP)
        status = VIRTIO_BLK_S_UNSUPP;
    else if (request->code < 0)
        status = VIRTIO_BLK_S_IOERR;
    *request->status = status;
    virtqueue_push(&blk->dev.queue[0], request->head,
                   (request->code == 0 ? request->data_in : 0) + 1);
    request->next = blk->free;
    blk->free = request;
}

/* Takes the status byte off the end of the writable segments; false when there is none. */
static bool split_status(struct virtqueue_chain *chain, struct blk_request *request)
{
    struct iovec *last;

    while (chain->in_count > 0) {
        last = &chain->segment[chain->out_count + chain->in_count - 1];
        if (last->iov_len > 0) {
            last->iov_len--;
            chain->in_bytes--;
            request->status = (uint8_t *)last->iov_base + last->iov_len;
            return true;
        }
        chain->in_count--;
    }
    return false;
}

/* Copies the segments that hold a read's or write's data. */
static int set_data(struct virtio_blk *blk, const struct virtqueue_chain *chain,
                    struct blk_request *request)
{
    bool is_read = request->type == VIRTIO_BLK_T_IN;
    const struct iovec *from = chain->segment + (is_read ? chain->out_count : 0);
    unsigned int count = is_read ? chain->in_count : chain->out_count;
    size_t skip = is_read ? 0 : sizeof(struct virtio_blk_outhdr);
    size_t bytes = (is_read ? chain->in_bytes : chain->out_bytes) - skip;

    if (bytes % DISK_SECTOR != 0 || bytes > UINT32_MAX - 1 ||
        !raw_disk_has(&blk->disk, request->sector, bytes / DISK_SECTOR))
        return -EIO;
    for (unsigned int i = 0; i < count; i++) {
        struct iovec segment = from[i];
        size_t drop = skip < segment.iov_len ? skip : segment.iov_len;

        segment.iov_base = (uint8_t *)segment.iov_base + drop;
        segment.iov_len -= drop;
        skip -= drop;
        if (segment.iov_len > 0)
            request->segment[request->segment_count++] = segment;
    }
    request->data_in = is_read ? (uint32_t)bytes : 0;
    return 0;
}

static int set_ranges(struct virtio_blk *blk, const struct virtqueue_chain *chain,
                      struct blk_request *request)
{
    size_t bytes = chain->out_bytes - sizeof(struct virtio_blk_outhdr);
    uint32_t known =
        request->type == VIRTIO_BLK_T_WRITE_ZEROES ? VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP : 0;

    if (bytes == 0 || bytes % sizeof(request->range[0]) != 0 || bytes > sizeof(request->range))
        return -EIO;
    request->range_count = (unsigned int)(bytes / sizeof(request->range[0]));
    (void)virtqueue_chain_read(chain, sizeof(struct virtio_blk_outhdr), request->range, bytes);
    for (unsigned int i = 0; i < request->range_count; i++) {
        uint32_t count = le32toh(request->range[i].num_sectors);

        if ((le32toh(request->range[i].flags) & ~known) != 0)
            return -EOPNOTSUPP;
        if (count > MAX_RANGE_SECTORS ||
            !raw_disk_has(&blk->disk, le64toh(request->range[i].sector), count))
            return -EIO;
    }
    return 0;
}

/* Fills a request from a chain, all of it checked. 0: for the worker. 1: done. Negative: refused.
 */
static int parse(struct virtio_blk *blk, struct virtqueue_chain *chain, struct blk_request *request)
{
    struct virtio_blk_outhdr header;

    if (virtqueue_chain_read(chain, 0, &header, sizeof(header)) != sizeof(header))
        return -EIO;
    request->type = le32toh(header.type);
    request->sector = le64toh(header.sector);
    switch (request->type) {
    case VIRTIO_BLK_T_OUT:
        if (blk->disk.is_read_only)
            return -EIO;
        return set_data(blk, chain, request);
    case VIRTIO_BLK_T_IN:
        return set_data(blk, chain, request);
    case VIRTIO_BLK_T_FLUSH:
        return 0;
    case VIRTIO_BLK_T_DISCARD:
    case VIRTIO_BLK_T_WRITE_ZEROES:
        if (blk->disk.is_read_only)
            return -EIO;
        return set_ranges(blk, chain, request);
    case VIRTIO_BLK_T_GET_ID:
        request->data_in = (uint32_t)virtqueue_chain_write(chain, 0, blk->id, sizeof(blk->id));
        return 1;
    default:
        return -EOPNOTSUPP;
    }
}

static void submit(struct virtio_blk *blk, struct blk_request *request)
{
    pthread_mutex_lock(&blk->lock);
    list_append(&blk->waiting, request);
    pthread_cond_signal(&blk->wake);
    pthread_mutex_unlock(&blk->lock);
}

static void take_requests(struct virtio_blk *blk)
{
    struct virtqueue *vq = &blk->dev.queue[0];
    struct virtqueue_chain chain;
    bool has_completed = false;

    /* Bounded: requests that are refused free their slot at once, and a guest could add them
       as quickly as they are taken. */
    for (unsigned int i = 0; i < QUEUE_SIZE && blk->free != NULL && virtqueue_pop(vq, &chain) > 0;
         i++) {
        struct blk_request *request = blk->free;
        int code;

        /* Not its arrays: they are large, and their counts say what of them is filled. */
        request->head = chain.head;
        request->code = 0;
        request->data_in = 0;
        request->segment_count = 0;
        request->range_count = 0;
        if (!split_status(&chain, request)) {
            /* Nowhere to answer: the best that can be done is to give the buffers back. */
            virtqueue_push(vq, chain.head, 0);
            has_completed = true;
            continue;
        }
        blk->free = request->next;
        code = parse(blk, &chain, request);
        if (code == 0) {
            submit(blk, request);
        } else {
            request->code = code < 0 ? code : 0;
            complete(blk, request);
            has_completed = true;
        }
    }
    if (has_completed)
        virtqueue_notify(vq);
    /* Only a driver that puts heads in twice gets here; it is asked again when one is done. */
    blk->is_starved = blk->free == NULL;
    if (!blk->is_starved)
        virtqueue_await_kick(vq);
}

static void on_done(void *opaque, uint32_t events)
{
    struct virtio_blk *blk = opaque;
    struct blk_request *request;
    eventfd_t count;

    (void)events;
    (void)eventfd_read(blk->done_fd, &count);
    pthread_mutex_lock(&blk->lock);
    request = blk->done.first;
    list_clear(&blk->done);
    pthread_mutex_unlock(&blk->lock);
    while (request != NULL) {
        struct blk_request *next = request->next;

        complete(blk, request);
        request = next;
    }
    virtqueue_notify(&blk->dev.queue[0]);
    if (blk->is_starved)
        take_requests(blk);
}

static void blk_kick(struct virtio_device *dev, unsigned int index)
{
    (void)index;
    take_requests(blk_of(dev));
}

static void blk_config_read(struct virtio_device *dev, uint32_t offset, void *buf, uint32_t size)
{
    struct virtio_blk *blk = blk_of(dev);

    virtio_config_copy(&blk->config, sizeof(blk->config), offset, buf, size);
}

static int blk_start(struct virtio_device *dev)
{
    struct virtio_blk *blk = blk_of(dev);

    blk->free = NULL;
    blk->is_starved = false;
    for (unsigned int i = 0; i < QUEUE_SIZE; i++) {
        blk->slot[i].next = blk->free;
        blk->free = &blk->slot[i];
    }
    return 0;
}

static void blk_stop(struct virtio_device *dev)
{
    struct virtio_blk *blk = blk_of(dev);

    /* The loop's thread waits here, so a request may not take as long as the guest likes. */
    atomic_store(&blk->disk.is_cancelled, true);
    pthread_mutex_lock(&blk->lock);
    list_clear(&blk->waiting);
    while (blk->is_busy)
        pthread_cond_wait(&blk->idle, &blk->lock);
    list_clear(&blk->done);
    pthread_mutex_unlock(&blk->lock);
    atomic_store(&blk->disk.is_cancelled, false);
}

static const struct virtio_device_ops blk_ops = {
    .device_id = VIRTIO_ID_BLOCK,
    .name = "blk",
    .config_read = blk_config_read,
    .start = blk_start,
    .stop = blk_stop,
    .kick = blk_kick,
};

static int start_worker(struct virtio_blk *blk)
{
    sigset_t all, saved;
    int code;

    /* Signals are the main thread's. */
    sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &saved);
    code = pthread_create(&blk->worker, NULL, worker_thread, blk);
    (void)pthread_sigmask(SIG_SETMASK, &saved, NULL);
    blk->has_worker = code == 0;
    return -code;
}

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

struct virtio_device *virtio_blk_new(struct event_loop *loop, const char *path, bool read_only,
                                     struct crosh_error *err)
{
    struct virtio_blk *blk = calloc(1, sizeof(*blk));
    int code;

    if (blk == NULL) {
        crosh_error_set(err, -ENOMEM, "out of memory");
        return NULL;
    }
    blk->disk.fd = blk->done_fd = -1;
    blk->lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
    blk->wake = blk->idle = (pthread_cond_t)PTHREAD_COND_INITIALIZER;
    list_clear(&blk->waiting);
    list_clear(&blk->done);
    virtio_device_init(&blk->dev, &blk_ops, loop, 1);
    blk->dev.queue[0].size_max = QUEUE_SIZE;
    if (raw_disk_open(&blk->disk, path, read_only, err) < 0) {
        virtio_blk_free(&blk->dev);
        return NULL;
    }
    set_id(blk, path);
    blk->dev.features |= UINT64_C(1) << VIRTIO_BLK_F_SEG_MAX | UINT64_C(1) << VIRTIO_BLK_F_FLUSH;
    if (read_only)
        blk->dev.features |= UINT64_C(1) << VIRTIO_BLK_F_RO;
    else
        blk->dev.features |= UINT64_C(1) << VIRTIO_BLK_F_DISCARD | UINT64_C(1)
                                                                       << VIRTIO_BLK_F_WRITE_ZEROES;
    blk->config = (struct virtio_blk_config){
        .capacity = htole64(blk->disk.sectors),
        .seg_max = htole32(MAX_SEGMENTS),
        .blk_size = htole32(DISK_SECTOR),
        .num_queues = htole16(1),
        .max_discard_sectors = htole32(MAX_RANGE_SECTORS),
        .max_discard_seg = htole32(MAX_RANGES),
        .discard_sector_alignment = htole32(4096 / DISK_SECTOR),
        .max_write_zeroes_sectors = htole32(MAX_RANGE_SECTORS),
        .max_write_zeroes_seg = htole32(MAX_RANGES),
        .write_zeroes_may_unmap = 1,
    };
    blk->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (blk->done_fd >= 0)
        blk->done_source = event_add(loop, blk->done_fd, EPOLLIN, on_done, blk);
    code = blk->done_source != NULL ? start_worker(blk) : -errno;
    if (code < 0) {
        crosh_error_set(err, code, "disk %s: %s", path, strerror(-code));
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
    virtio_device_stop(dev);
    if (blk->has_worker) {
        pthread_mutex_lock(&blk->lock);
        blk->is_ending = true;
        pthread_cond_signal(&blk->wake);
        pthread_mutex_unlock(&blk->lock);
        (void)pthread_join(blk->worker, NULL);
    }
    event_remove(blk->done_source);
    if (blk->done_fd >= 0)
        (void)close(blk->done_fd);
    raw_disk_close(&blk->disk);
    pthread_cond_destroy(&blk->wake);
    pthread_cond_destroy(&blk->idle);
    pthread_mutex_destroy(&blk->lock);
    free(blk);
}

/* SPDX-License-Identifier: MIT */
/* virtio-blk's inside: what the device, its requests and its workers share. */
#ifndef KVM_VIRTIO_BLK_INTERNAL_H
#define KVM_VIRTIO_BLK_INTERNAL_H

#include <linux/virtio_blk.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "kvm/disk/raw.h"
#include "kvm/virtio/blk.h"

/*
 * Theory of operation
 *
 * The queues belong to the disk's workers: threads that wait for kicks themselves,
 * all of them for those of every queue, so that a request passes through no other
 * thread on its way. A worker that is woken takes one request after the other
 * while the queue spares its driver kicks. Before it does anything that may keep it
 * waiting (a read of what is not in the page cache, a flush, a large write), it
 * hands the queue over: kicks are wanted again, and another worker goes on with
 * what is there. So requests that need no waiting cost no switch of threads, and
 * those that do run beside each other, as many as there are workers. One is there
 * from the start; the loop's thread makes more when one hands over and none is idle.
 *
 * Threads of our own and not io_uring: its operations pass the system call filters
 * by, and as disks are read and written through the host's page cache they measured
 * no better (random 4 KiB reads 80,000 a second against 120,000 with four threads,
 * writes 56,000 against 370,000).
 *
 * A flush is fdatasync(): what was completed before the guest asked for it had been
 * written to the file before, and is durable when the flush completes. What is in
 * flight meanwhile may or may not be, as the specification has it (5.2.6.1).
 *
 * Taking can be stopped: by close (reset), which waits until no worker has a request
 * and cancels transfers; by hold (the machine stands still); and by full, when the
 * host has no room for a write. A request
 * that cannot be carried out then is put back: its head is remembered, and read anew
 * from the ring when taking goes on. Room is looked for once a second.
 *
 * Locks: each queue has one for its rings and the fields of struct blk_queue; lock
 * guards the limiter, config_lock the configuration. None is taken inside another,
 * but for config_lock, inside which the transport is told of a change.
 */

enum {
    BLK_QUEUE_SIZE = 128,
    BLK_MAX_SEGMENTS = BLK_QUEUE_SIZE - 2, /* beside the header and the status */
    /* Bounds on one discard or write-zeroes request. */
    BLK_MAX_RANGES = 16,
    BLK_MAX_RANGE_SECTORS = 1 << 22, /* 2 GiB */
    BLK_MAX_WORKERS = 16,
    BLK_ROOM_INTERVAL_MS = 1000, /* how often room is looked for on a host that has none */
};

/* A request that a worker holds. */
struct blk_request {
    struct virtqueue_chain chain;
    uint32_t type;
    uint64_t sector;
    uint8_t *status;
    uint32_t data_in; /* bytes written into the guest's buffers, less the status */
    uint64_t bytes;   /* of a read or write */
    struct disk_io io;
    unsigned int range_count, ranges_done;
    struct virtio_blk_discard_write_zeroes range[BLK_MAX_RANGES];
};

struct blk_queue {
    pthread_mutex_t lock;
    pthread_cond_t quiet; /* taken has become 0 */
    struct virtqueue *vq;
    bool is_open;           /* between start and stop */
    bool is_held;           /* while the machine stands still: nothing is taken */
    unsigned int taken;     /* requests that workers have */
    unsigned int completed; /* pushed since the driver was last notified */
    unsigned int put_back_count;
    uint16_t put_back[BLK_MAX_WORKERS];
};

struct blk_worker {
    struct virtio_blk *blk;
    pthread_t thread;
    struct blk_request request;
};

struct blk_counters {
    atomic_ullong reads, writes, flushes, discards, read_bytes, written_bytes, errors, throttled_ns;
};

struct virtio_blk {
    struct virtio_device dev; /* first */
    struct raw_disk disk;
    char id[VIRTIO_BLK_ID_BYTES];
    struct blk_counters counters;

    pthread_mutex_t config_lock;
    struct virtio_blk_config config;
    bool is_change_untold; /* the loop's thread's: the configuration changed before the start */

    struct blk_queue queue[VIRTIO_BLK_MAX_QUEUES];
    int epoll_fd; /* the kicks of open queues, and end_fd */
    int end_fd;   /* readable: the workers end */
    unsigned int worker_count;
    struct blk_worker *worker[BLK_MAX_WORKERS];
    atomic_uint idle_count;
    atomic_bool is_full; /* nothing is taken from any queue */

    /* What workers ask of the loop's thread: more of them, to look for room. */
    int ask_fd;
    struct event_source *asked;
    atomic_bool is_worker_wanted;
    struct event_source *room_timer;
    bool is_full_told;
    void (*full)(void *opaque, bool is_full);
    void *opaque;

    pthread_mutex_t lock;
    pthread_cond_t hurry; /* waits for the limiter are over */
    bool is_hurried;
    atomic_bool is_limited; /* limiter limits anything */
    unsigned int limit_changes;
    struct rate_limiter limiter;
    off_t wanted_offset, wanted_bytes; /* where a write found no room */
};

/* blk-request.c; for workers */

/* Fills the rest of a request from its chain, all of it checked. 0: to be carried out. 1: done.
   Negative: refused. status is NULL when there is nowhere to answer. */
int blk_request_parse(struct virtio_blk *blk, struct blk_request *request);
/* What of it needs no waiting. -EAGAIN: there is more. */
int blk_request_begin(struct virtio_blk *blk, struct blk_request *request);
/* The rest. 0 or a negative errno. */
int blk_request_finish(struct virtio_blk *blk, struct blk_request *request);
/* Writes the status for code; the length for the used ring. */
uint32_t blk_request_answer(struct virtio_blk *blk, struct blk_request *request, int code);

/* blk-worker.c; for the loop's thread */

/* Makes what workers need, and the first of them. 0 or a negative errno. */
int blk_workers_init(struct virtio_blk *blk);
/* Ends them; all queues are closed. */
void blk_workers_fini(struct virtio_blk *blk);
/* Lets workers take from a queue; 0 or a negative errno. */
int blk_queue_open(struct virtio_blk *blk, struct blk_queue *queue);
/* Ends that; when it returns, no worker touches the queue. */
void blk_queue_close(struct virtio_blk *blk, struct blk_queue *queue);
/* Nothing is taken from it until it is released; what workers have goes on. */
void blk_queue_hold(struct blk_queue *queue);
void blk_queue_release(struct blk_queue *queue);
/* Has a worker look at the queue. */
void blk_queue_kick(struct blk_queue *queue);

/* The clock that the rate limits go by: monotonic, in nanoseconds. */
static inline uint64_t blk_now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

#endif

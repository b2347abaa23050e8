/* SPDX-License-Identifier: MIT */
/* virtio-blk's workers: threads that take requests from the queues and carry them out. */
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "kvm/sandbox/sandbox.h"
#include "kvm/thread.h"
#include "kvm/virtio/blk-internal.h"

enum {
    /* Requests completed before the driver hears of it, while more are there to be served. */
    NOTIFY_BATCH = 8,
    NOTIFY_BYTES = 64 << 10,
};

#define NS_PER_SECOND UINT64_C(1000000000)

/* ---- With the queue's lock held ---- */

static void notify(struct blk_queue *queue)
{
    if (queue->completed > 0)
        virtqueue_notify(queue->vq);
    queue->completed = 0;
}

static void release(struct blk_queue *queue)
{
    if (--queue->taken == 0)
        pthread_cond_broadcast(&queue->quiet);
}

/* A worker will be woken when there is something to take, at once if there is now. */
static void await_work(struct blk_queue *queue)
{
    virtqueue_await_kick(queue->vq);
    if (queue->put_back_count > 0)
        blk_queue_kick(queue);
}

static bool take(struct virtio_blk *blk, struct blk_queue *queue, struct blk_request *request)
{
    int code = 0;

    if (!queue->is_open || queue->is_held || atomic_load(&blk->is_full))
        return false;
    if (queue->put_back_count > 0)
        code =
            virtqueue_retake(queue->vq, queue->put_back[--queue->put_back_count], &request->chain);
    else
        code = virtqueue_pop(queue->vq, &request->chain);
    if (code <= 0)
        return false;
    queue->taken++;
    return true;
}

static void complete(struct virtio_blk *blk, struct blk_queue *queue, struct blk_request *request,
                     int code)
{
    virtqueue_push(queue->vq, request->chain.head, blk_request_answer(blk, request, code));
    if (++queue->completed >= NOTIFY_BATCH || request->bytes >= NOTIFY_BYTES)
        notify(queue);
    release(queue);
}

/* ---- A worker ---- */

static void ask_loop(struct virtio_blk *blk)
{
    (void)eventfd_write(blk->ask_fd, 1);
}

/* Another worker may go on with the queue: this one is about to wait. */
static void hand_over(struct virtio_blk *blk, struct blk_queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    notify(queue);
    await_work(queue);
    pthread_mutex_unlock(&queue->lock);
    if (atomic_load(&blk->idle_count) == 0 && !atomic_exchange(&blk->is_worker_wanted, true))
        ask_loop(blk);
}

/* Waits until the rate limits have room for the request. */
static void throttle(struct virtio_blk *blk, struct blk_queue *queue, struct blk_request *request)
{
    uint64_t start, delay, end;
    unsigned int changes;

    pthread_mutex_lock(&blk->lock);
    start = blk_now_ns();
    delay = rate_limiter_take(&blk->limiter, request->bytes, start);
    changes = blk->limit_changes;
    pthread_mutex_unlock(&blk->lock);
    if (delay == 0)
        return;
    /* What is done already shall not wait along. */
    pthread_mutex_lock(&queue->lock);
    notify(queue);
    pthread_mutex_unlock(&queue->lock);
    end = start + delay;
    pthread_mutex_lock(&blk->lock);
    while (!blk->is_hurried && blk->limit_changes == changes && blk_now_ns() < end) {
        struct timespec until = {.tv_sec = (time_t)(end / NS_PER_SECOND),
                                 .tv_nsec = (long)(end % NS_PER_SECOND)};

        (void)pthread_cond_timedwait(&blk->hurry, &blk->lock, &until);
    }
    pthread_mutex_unlock(&blk->lock);
    atomic_fetch_add_explicit(&blk->counters.throttled_ns, blk_now_ns() - start,
                              memory_order_relaxed);
}

static bool is_no_room(const struct blk_request *request, int code)
{
    /* A flush cannot be tried again: the kernel tells of what was lost only once. */
    return (code == -ENOSPC || code == -EDQUOT) && request->type != VIRTIO_BLK_T_FLUSH;
}

/* Notes where room is missing for a request. */
static void note_wanted(struct virtio_blk *blk, const struct blk_request *request)
{
    off_t offset = request->io.offset;
    off_t bytes = 0;

    for (int i = 0; i < request->io.count; i++)
        bytes += (off_t)request->io.iov[i].iov_len;
    if (request->type != VIRTIO_BLK_T_OUT) {
        offset = 0;
        bytes = 0;
    }
    pthread_mutex_lock(&blk->lock);
    blk->wanted_offset = offset;
    blk->wanted_bytes = bytes;
    pthread_mutex_unlock(&blk->lock);
}

/* Puts a request back that finds no room, and stops the taking. */
static void put_back(struct virtio_blk *blk, struct blk_queue *queue, struct blk_request *request)
{
    note_wanted(blk, request);
    /* In one step: nobody may take it again before the taking has stopped, and who hears that the
       disk is full finds the request in the queue. */
    pthread_mutex_lock(&queue->lock);
    atomic_store(&blk->is_full, true);
    queue->put_back[queue->put_back_count++] = request->chain.head;
    virtqueue_put_off(queue->vq);
    release(queue);
    pthread_mutex_unlock(&queue->lock);
    ask_loop(blk);
}

/* A request that the worker took. */
static void serve(struct virtio_blk *blk, struct blk_queue *queue, struct blk_request *request)
{
    int code = blk_request_parse(blk, request);

    if (code == 0) {
        if (atomic_load_explicit(&blk->is_limited, memory_order_relaxed))
            throttle(blk, queue, request);
        code = blk_request_begin(blk, request);
        if (code == -EAGAIN) {
            hand_over(blk, queue);
            code = blk_request_finish(blk, request);
        }
    }
    if (is_no_room(request, code)) {
        put_back(blk, queue, request);
        return;
    }
    pthread_mutex_lock(&queue->lock);
    complete(blk, queue, request, code);
    pthread_mutex_unlock(&queue->lock);
}

/* Serves a queue until there is nothing more, or others shall have their turn. */
static void serve_queue(struct blk_worker *worker, struct blk_queue *queue)
{
    struct virtio_blk *blk = worker->blk;
    unsigned int count = 0;

    pthread_mutex_lock(&queue->lock);
    if (queue->is_open)
        virtqueue_enable_kicks(queue->vq, false);
    while (count < BLK_QUEUE_SIZE && take(blk, queue, &worker->request)) {
        pthread_mutex_unlock(&queue->lock);
        serve(blk, queue, &worker->request);
        pthread_mutex_lock(&queue->lock);
        count++;
    }
    if (queue->is_open) {
        notify(queue);
        /* A held queue is kicked at its release, a full disk's when there is room. */
        if (!queue->is_held && !atomic_load(&blk->is_full))
            await_work(queue);
    }
    pthread_mutex_unlock(&queue->lock);
}

static void *worker_thread(void *opaque)
{
    struct blk_worker *worker = opaque;
    struct virtio_blk *blk = worker->blk;

    (void)pthread_setname_np(pthread_self(), "blk");
    /* A thread that cannot be confined does nothing; the loop's list holds it all the same. */
    if (sandbox_enter_thread(SANDBOX_THREAD_DISK) < 0)
        return NULL;
    for (;;) {
        struct epoll_event event;
        int n;

        atomic_fetch_add(&blk->idle_count, 1);
        n = epoll_wait(blk->epoll_fd, &event, 1, -1);
        atomic_fetch_sub(&blk->idle_count, 1);
        if (n == 1 && event.data.ptr == NULL)
            return NULL;
        if (n == 1)
            serve_queue(worker, event.data.ptr);
    }
}

/* ---- The loop's thread ---- */

static int add_worker(struct virtio_blk *blk)
{
    struct blk_worker *worker = calloc(1, sizeof(*worker));
    int code;

    if (worker == NULL)
        return -ENOMEM;
    worker->blk = blk;
    code = thread_start(&worker->thread, worker_thread, worker);
    if (code == 0)
        blk->worker[blk->worker_count++] = worker;
    else
        free(worker);
    return code;
}

static void on_asked(void *opaque, uint32_t events)
{
    struct virtio_blk *blk = opaque;
    eventfd_t count;

    (void)events;
    (void)eventfd_read(blk->ask_fd, &count);
    if (atomic_exchange(&blk->is_worker_wanted, false) && blk->worker_count < BLK_MAX_WORKERS)
        (void)add_worker(blk); /* what is there does the work, later */
    if (atomic_load(&blk->is_full)) {
        event_timer_set(blk->room_timer, BLK_ROOM_INTERVAL_MS);
        if (!blk->is_full_told && blk->full != NULL)
            blk->full(blk->opaque, true);
        blk->is_full_told = true;
    }
}

int blk_workers_init(struct virtio_blk *blk)
{
    struct epoll_event end = {.events = EPOLLIN, .data.ptr = NULL};

    blk->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    blk->end_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    blk->ask_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (blk->epoll_fd < 0 || blk->end_fd < 0 || blk->ask_fd < 0 ||
        epoll_ctl(blk->epoll_fd, EPOLL_CTL_ADD, blk->end_fd, &end) < 0)
        return -errno;
    blk->asked = event_add(blk->dev.loop, blk->ask_fd, EPOLLIN, on_asked, blk);
    return blk->asked != NULL ? add_worker(blk) : -errno;
}

void blk_workers_fini(struct virtio_blk *blk)
{
    /* Stays readable, so that each of them sees it. */
    if (blk->end_fd >= 0)
        (void)eventfd_write(blk->end_fd, 1);
    while (blk->worker_count > 0) {
        struct blk_worker *worker = blk->worker[--blk->worker_count];

        (void)pthread_join(worker->thread, NULL);
        free(worker);
    }
    event_remove(blk->asked);
    if (blk->ask_fd >= 0)
        (void)close(blk->ask_fd);
    if (blk->end_fd >= 0)
        (void)close(blk->end_fd);
    if (blk->epoll_fd >= 0)
        (void)close(blk->epoll_fd);
}

int blk_queue_open(struct virtio_blk *blk, struct blk_queue *queue)
{
    /* On edges: nobody needs to read the count, and each kick wakes one worker. */
    struct epoll_event kick = {.events = EPOLLIN | EPOLLET, .data.ptr = queue};

    pthread_mutex_lock(&queue->lock);
    queue->completed = queue->put_back_count = 0;
    queue->is_held = false;
    queue->is_open = true;
    pthread_mutex_unlock(&queue->lock);
    return epoll_ctl(blk->epoll_fd, EPOLL_CTL_ADD, queue->vq->kick_fd, &kick) < 0 ? -errno : 0;
}

void blk_queue_close(struct virtio_blk *blk, struct blk_queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    if (queue->is_open)
        (void)epoll_ctl(blk->epoll_fd, EPOLL_CTL_DEL, queue->vq->kick_fd, NULL);
    queue->is_open = false;
    while (queue->taken > 0)
        pthread_cond_wait(&queue->quiet, &queue->lock);
    pthread_mutex_unlock(&queue->lock);
}

void blk_queue_hold(struct blk_queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    queue->is_held = true;
    pthread_mutex_unlock(&queue->lock);
}

void blk_queue_release(struct blk_queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    queue->is_held = false;
    pthread_mutex_unlock(&queue->lock);
    blk_queue_kick(queue);
}

void blk_queue_kick(struct blk_queue *queue)
{
    (void)eventfd_write(queue->vq->kick_fd, 1);
}

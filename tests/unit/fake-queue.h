/* SPDX-License-Identifier: MIT */
/* The driver's side of a split virtqueue, in memory of the test: as well- or ill-behaved as told.
 */
#ifndef TESTS_UNIT_FAKE_QUEUE_H
#define TESTS_UNIT_FAKE_QUEUE_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <linux/virtio_ring.h>

#include "kvm/virtio/virtqueue.h"

/* Room for a queue of VIRTQUEUE_MAX_SIZE and its rings. */
#define FAKE_QUEUE_BYTES 8192u

struct fake_queue {
    struct virtqueue *vq;
    uint8_t *ram; /* guest physical address 0 */
    uint16_t size;
    uint16_t avail_idx, used_idx;
    uint16_t kicked_idx; /* avail_idx at the last decision on a kick */
    struct vring_desc *desc;
    uint16_t *avail; /* flags, idx, ring[size], used_event */
    uint8_t *used;   /* flags, idx, ring[size], avail_event */
    int kick_fd, call_fd;
};

/* Lays the rings out at gpa and tells vq about them; the queue is not started. */
static inline void fake_queue_init(struct fake_queue *q, struct virtqueue *vq, uint8_t *ram,
                                   uint64_t gpa, uint16_t size)
{
    *q = (struct fake_queue){
        .vq = vq,
        .ram = ram,
        .size = size,
        .desc = (struct vring_desc *)(void *)(ram + gpa),
        .avail = (uint16_t *)(void *)(ram + gpa + 4096),
        .used = ram + gpa + 4096 + 1024,
        .kick_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC),
        .call_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC),
    };
    memset(ram + gpa, 0, FAKE_QUEUE_BYTES);
    vq->size = size;
    vq->desc_gpa = gpa;
    vq->driver_gpa = gpa + 4096;
    vq->device_gpa = gpa + 4096 + 1024;
    vq->kick_fd = q->kick_fd;
    vq->call_fd = q->call_fd;
}

static inline void fake_queue_fini(struct fake_queue *q)
{
    (void)close(q->kick_fd);
    (void)close(q->call_fd);
}

static inline void fake_queue_desc(struct fake_queue *q, unsigned int i, uint64_t addr,
                                   uint32_t len, uint16_t flags, uint16_t next)
{
    q->desc[i] = (struct vring_desc){.addr = addr, .len = len, .flags = flags, .next = next};
}

/* Makes the chain at head available, without a kick. */
static inline void fake_queue_offer(struct fake_queue *q, uint16_t head)
{
    q->avail[2 + q->avail_idx % q->size] = head;
    q->avail_idx++;
    __atomic_store_n(&q->avail[1], q->avail_idx, __ATOMIC_RELEASE);
}

/* Whether the driver was interrupted since the last call. */
static inline bool fake_queue_interrupted(struct fake_queue *q)
{
    uint64_t count;

    return read(q->call_fd, &count, sizeof(count)) > 0;
}

/* Takes the next used chain. */
static inline bool fake_queue_used(struct fake_queue *q, uint32_t *id, uint32_t *len)
{
    struct vring_used_elem elem;

    /* What the device wrote before it, it may have written on another thread. */
    if (__atomic_load_n((uint16_t *)(void *)(q->used + 2), __ATOMIC_ACQUIRE) == q->used_idx)
        return false;
    memcpy(&elem, q->used + 4 + sizeof(elem) * (q->used_idx % q->size), sizeof(elem));
    q->used_idx++;
    *id = elem.id;
    *len = elem.len;
    return true;
}

static inline void fake_queue_set_used_event(struct fake_queue *q, uint16_t event)
{
    __atomic_store_n(&q->avail[2 + q->size], event, __ATOMIC_RELAXED);
}

static inline uint16_t fake_queue_avail_event(const struct fake_queue *q)
{
    const uint8_t *event = q->used + 4 + sizeof(struct vring_used_elem) * q->size;

    return __atomic_load_n((const uint16_t *)(const void *)event, __ATOMIC_RELAXED);
}

/* Kicks the device if it wants to be, as a real driver does. */
static inline void fake_queue_kick(struct fake_queue *q)
{
    const uint64_t one = 1;
    uint16_t old = q->kicked_idx, flags;

    q->kicked_idx = q->avail_idx;
    /* The index must be visible before the device's wish is read. */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    flags = __atomic_load_n((uint16_t *)(void *)q->used, __ATOMIC_RELAXED);
    if (q->vq->event_idx ? vring_need_event(fake_queue_avail_event(q), q->avail_idx, old)
                         : (flags & VRING_USED_F_NO_NOTIFY) == 0)
        (void)!write(q->kick_fd, &one, sizeof(one));
}

#endif

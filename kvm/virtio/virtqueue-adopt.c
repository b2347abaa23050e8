/* SPDX-License-Identifier: MIT */
/* Finds out from its rings what the former server of a queue still owes its driver. */

/*
 * How many chains are owed the two indices say: available less used. Which ones, only the
 * rings do, and each keeps no more than its last entries, as many as the queue has.
 *
 * Say that at some moment in the past nothing was owed. Then of the entries since that
 * moment a chain that is owed is among the available ones once more than among the used
 * ones, and all others as often here as there. So each moment that the rings still hold
 * is tried: where a chain would be used without having been available, or be available
 * twice, there was something owed. Where it works out it is nearly always the truth, and
 * where it is not, by chance, other moments say otherwise: the answer that most moments
 * give is taken. With a server that keeps the order it is always right. A wrong one
 * would cost a driver its queue, which it would have lost anyhow.
 *
 * The used ring is marked before anybody uses it, and so it shows whether the rings went
 * round at least once or begin at their first entry.
 */
#include "kvm/virtio/virtqueue-adopt.h"

#include <endian.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include <linux/virtio_ring.h>

#define NEVER_USED UINT32_MAX

enum { RING_IDX = 2, RING_ENTRIES = 4 };

static uint16_t load16(const uint8_t *p)
{
    return le16toh(__atomic_load_n((const uint16_t *)(const void *)p, __ATOMIC_ACQUIRE));
}

static uint32_t load_used_id(const struct virtqueue *vq, unsigned int at)
{
    const uint8_t *p = vq->used + RING_ENTRIES + sizeof(struct vring_used_elem) * at;

    return le32toh(__atomic_load_n((const uint32_t *)(const void *)p, __ATOMIC_RELAXED));
}

void virtqueue_prepare_adopt(const struct virtqueue *vq)
{
    struct vring_used_elem never = {.id = NEVER_USED, .len = 0};

    for (unsigned int i = 0; vq->running && i < vq->size; i++)
        memcpy(vq->used + RING_ENTRIES + sizeof(never) * i, &never, sizeof(never));
}

/* Used entries that are still there to be looked at; the ring's size: it went round. */
static unsigned int count_used(const struct virtqueue *vq)
{
    unsigned int count = 0;

    for (unsigned int i = 0; i < vq->size; i++)
        count += load_used_id(vq, i) != NEVER_USED;
    return count;
}

/* How much more often each chain was available than used, over some entries of both rings. */
struct balance {
    int16_t of[VIRTQUEUE_MAX_SIZE];
    unsigned int impossible; /* chains for which that is neither 0 nor 1 */
    uint64_t owed;           /* a checksum of the chains for which it is 1 */
};

static void count_chain(struct balance *balance, uint32_t id, int by)
{
    int16_t *of;

    if (id >= VIRTQUEUE_MAX_SIZE)
        return; /* a driver's nonsense */
    of = &balance->of[id];
    for (int i = 0; i < 2; i++) {
        if (*of == 1)
            balance->owed ^= (id + 1) * UINT64_C(0x9e3779b97f4a7c15);
        else if (*of != 0)
            balance->impossible += i == 0 ? -1u : 1u;
        if (i == 0)
            *of = (int16_t)(*of + by);
    }
}

static uint32_t available_at(const struct virtqueue *vq, uint16_t position)
{
    unsigned int at = position & (vq->size - 1u);

    return load16(vq->avail + RING_ENTRIES + sizeof(uint16_t) * at);
}

/* Goes one entry further into the past, in both rings. */
static void step_back(const struct virtqueue *vq, struct balance *balance, uint16_t position)
{
    count_chain(balance, load_used_id(vq, position & (vq->size - 1u)), -1);
    count_chain(balance, available_at(vq, position), 1);
}

/* The step of moments that agree most; negative: there is none. */
static int most_common(const uint64_t *owed, const bool *is_possible, unsigned int steps)
{
    unsigned int most = 0;
    int best = -1;

    for (unsigned int i = 0; i <= steps; i++) {
        unsigned int same = 0;

        for (unsigned int j = 0; j <= steps && is_possible[i]; j++)
            same += is_possible[j] && owed[j] == owed[i];
        if (same > most) {
            most = same;
            best = (int)i;
        }
    }
    return best;
}

int virtqueue_adopt(struct virtqueue *vq, uint16_t *head)
{
    struct balance start = {.impossible = 0}, balance;
    uint64_t owed_at[VIRTQUEUE_MAX_SIZE + 1];
    bool is_possible[VIRTQUEUE_MAX_SIZE + 1];
    uint16_t available, used, owed;
    unsigned int steps;
    int best, count = 0;

    if (!vq->running || vq->broken)
        return -EPROTO;
    available = load16(vq->avail + RING_IDX);
    used = load16(vq->used + RING_IDX);
    owed = (uint16_t)(available - used);
    if (owed > vq->size)
        return -EPROTO;
    /* What was written and not published lies behind the index, and is owed. */
    steps = count_used(vq) < vq->size ? used : vq->size;
    if (steps > (unsigned int)vq->size - owed)
        steps = (unsigned int)vq->size - owed;
    for (unsigned int i = 0; i < owed; i++)
        count_chain(&start, available_at(vq, (uint16_t)(available - 1 - i)), 1);
    balance = start;
    for (unsigned int i = 0; i <= steps; i++) {
        owed_at[i] = balance.owed;
        is_possible[i] = balance.impossible == 0;
        if (i < steps)
            step_back(vq, &balance, (uint16_t)(used - 1 - i));
    }
    best = most_common(owed_at, is_possible, steps);
    if (best < 0)
        return -EPROTO;
    balance = start;
    for (int i = 0; i < best; i++)
        step_back(vq, &balance, (uint16_t)(used - 1 - i));
    for (uint16_t id = 0; id < vq->size; id++)
        if (balance.of[id] == 1)
            head[count++] = id;
    vq->last_avail = available;
    vq->used_idx = vq->signalled_used = used;
    return count;
}

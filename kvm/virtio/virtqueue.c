/* SPDX-License-Identifier: MIT */
/* Takes and returns descriptor chains of split virtqueues (virtio 1.2 section 2.7). */

/*
 * Theory of operation
 *
 * The three parts of a queue lie in guest memory, which the guest may change at
 * any time, also while it is being read. So their addresses are resolved once,
 * in virtqueue_start(), to pointers that cover each part whole; everything read
 * through them is loaded exactly once into a local copy, and only the copy is
 * checked and used. No number from the guest is ever an index before it has been
 * compared with the frozen queue size, and no address becomes a pointer except
 * through guest_memory_at().
 *
 * A driver that breaks the rules gets its queue marked as broken: nothing is
 * taken from it until the reset. There is nothing better to do with a ring whose
 * contents are nonsense, and guessing on would give a hostile driver room.
 *
 * Ordering: the driver publishes descriptors by storing avail->idx, so it is
 * loaded with acquire; used elements are published by storing used->idx with
 * release. The two "shall I wake the other?" questions (interrupts here, kicks in
 * virtqueue_enable_kicks()) are store-then-load on both sides and need a full fence.
 */
#include "kvm/virtio/virtqueue.h"

#include <endian.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <linux/virtio_ring.h>

#define DESC_BYTES(size) (sizeof(struct vring_desc) * (size_t)(size))
/* flags, idx, ring[size], used_event */
#define AVAIL_BYTES(size) (sizeof(uint16_t) * (3 + (size_t)(size)))
/* flags, idx, ring[size], avail_event */
#define USED_BYTES(size) (sizeof(uint16_t) * 3 + sizeof(struct vring_used_elem) * (size_t)(size))

/* Byte offsets within the available and the used ring. */
enum {
    RING_FLAGS = 0,
    RING_IDX = 2,
    RING_ENTRIES = 4,
};

static uint16_t load16(const uint8_t *p)
{
    return le16toh(__atomic_load_n((const uint16_t *)(const void *)p, __ATOMIC_RELAXED));
}

static uint16_t load16_acquire(const uint8_t *p)
{
    return le16toh(__atomic_load_n((const uint16_t *)(const void *)p, __ATOMIC_ACQUIRE));
}

static void store16(uint8_t *p, uint16_t value)
{
    __atomic_store_n((uint16_t *)(void *)p, htole16(value), __ATOMIC_RELAXED);
}

static void store16_release(uint8_t *p, uint16_t value)
{
    __atomic_store_n((uint16_t *)(void *)p, htole16(value), __ATOMIC_RELEASE);
}

static uint8_t *used_event_of(const struct virtqueue *vq)
{
    return (uint8_t *)vq->avail + RING_ENTRIES + sizeof(uint16_t) * vq->size;
}

static uint8_t *avail_event_of(const struct virtqueue *vq)
{
    return vq->used + RING_ENTRIES + sizeof(struct vring_used_elem) * vq->size;
}

int virtqueue_start(struct virtqueue *vq, const struct guest_memory *memory)
{
    uint16_t size = vq->size;

    vq->running = false;
    if (size == 0 || size > vq->size_max || size > VIRTQUEUE_MAX_SIZE || (size & (size - 1)) != 0)
        return -EINVAL;
    /* Section 2.7: the alignment of each part. */
    if (vq->desc_gpa % 16 != 0 || vq->driver_gpa % 2 != 0 || vq->device_gpa % 4 != 0)
        return -EINVAL;
    vq->desc = guest_memory_at(memory, vq->desc_gpa, DESC_BYTES(size));
    vq->avail = guest_memory_at(memory, vq->driver_gpa, AVAIL_BYTES(size));
    vq->used = guest_memory_at(memory, vq->device_gpa, USED_BYTES(size));
    if (vq->desc == NULL || vq->avail == NULL || vq->used == NULL)
        return -EINVAL;
    /* A vhost-user frontend's regions need not keep the alignment of guest addresses. */
    if ((uintptr_t)vq->avail % 2 != 0 || (uintptr_t)vq->used % 4 != 0)
        return -EINVAL;
    vq->memory = memory;
    /* 0 in a fresh ring; a vhost-user frontend hands over rings that have been in use. */
    vq->used_idx = load16(vq->used + RING_IDX);
    vq->signalled_used = vq->used_idx;
    vq->broken = false;
    vq->running = true;
    vq->in_flight = 0;
    return 0;
}

int virtqueue_remap(struct virtqueue *vq, const struct guest_memory *memory)
{
    bool broken = vq->broken;
    int ret;

    if (!vq->running)
        return 0;
    ret = virtqueue_start(vq, memory);
    vq->broken = broken;
    return ret;
}

void virtqueue_reset(struct virtqueue *vq)
{
    *vq = (struct virtqueue){
        .size_max = vq->size_max,
        .kick_fd = vq->kick_fd,
        .call_fd = vq->call_fd,
        .figures = vq->figures,
    };
}

/* There is one writer; readers on other threads shall see whole numbers. */
static void count(uint64_t *figure, uint64_t more)
{
    __atomic_store_n(figure, *figure + more, __ATOMIC_RELAXED);
}

struct virtqueue_figures virtqueue_get_figures(const struct virtqueue *vq)
{
    const struct virtqueue_figures *figures = &vq->figures;

    return (struct virtqueue_figures){
        .requests = __atomic_load_n(&figures->requests, __ATOMIC_RELAXED),
        .read_bytes = __atomic_load_n(&figures->read_bytes, __ATOMIC_RELAXED),
        .written_bytes = __atomic_load_n(&figures->written_bytes, __ATOMIC_RELAXED),
        .interrupts = __atomic_load_n(&figures->interrupts, __ATOMIC_RELAXED),
        .errors = __atomic_load_n(&figures->errors, __ATOMIC_RELAXED),
    };
}

static int break_queue(struct virtqueue *vq)
{
    vq->broken = true;
    count(&vq->figures.errors, 1);
    return -EPROTO;
}

/* Copies entry index of the descriptor table at table; the caller has checked the index. */
static struct vring_desc read_desc(const uint8_t *table, uint32_t index)
{
    struct vring_desc desc;

    memcpy(&desc, table + sizeof(desc) * index, sizeof(desc));
    /* The copy is final: without this the compiler might read guest memory a second time. */
    __asm__ __volatile__("" ::: "memory");
    desc.addr = le64toh(desc.addr);
    desc.len = le32toh(desc.len);
    desc.flags = le16toh(desc.flags);
    desc.next = le16toh(desc.next);
    return desc;
}

/* Adds one buffer to the chain. */
static int add_segment(const struct virtqueue *vq, struct virtqueue_chain *chain,
                       const struct vring_desc *desc)
{
    unsigned int count = chain->out_count + chain->in_count;
    void *host;

    /* Section 2.7.5.3.1: no chain is longer than the queue; this also ends every loop. */
    if (count >= vq->size)
        return -EPROTO;
    host = guest_memory_at(vq->memory, desc->addr, desc->len);
    if (host == NULL)
        return -EPROTO;
    chain->segment[count] = (struct iovec){.iov_base = host, .iov_len = desc->len};
    if ((desc->flags & VRING_DESC_F_WRITE) != 0) {
        chain->in_count++;
        chain->in_bytes += desc->len;
    } else if (chain->in_count == 0) {
        chain->out_count++;
        chain->out_bytes += desc->len;
    } else {
        return -EPROTO; /* section 2.7.4.2: readable ones come first */
    }
    return 0;
}

/*
 * Walks a chain in the table of count entries. An indirect descriptor ends it,
 * and sets *indirect; inside an indirect table (indirect == NULL) there is none.
 */
static int walk(const struct virtqueue *vq, struct virtqueue_chain *chain, const uint8_t *table,
                uint32_t count, uint32_t index, struct vring_desc *indirect)
{
    for (;;) {
        struct vring_desc desc;
        int ret;

        if (index >= count)
            return -EPROTO;
        desc = read_desc(table, index);
        if ((desc.flags & VRING_DESC_F_INDIRECT) != 0) {
            if (indirect == NULL || (desc.flags & VRING_DESC_F_NEXT) != 0)
                return -EPROTO;
            *indirect = desc;
            return 0;
        }
        ret = add_segment(vq, chain, &desc);
        if (ret < 0)
            return ret;
        if ((desc.flags & VRING_DESC_F_NEXT) == 0)
            return 0;
        index = desc.next;
    }
}

static int read_chain(const struct virtqueue *vq, struct virtqueue_chain *chain)
{
    struct vring_desc indirect = {.len = 0};
    const uint8_t *table;
    uint32_t count;
    int ret;

    chain->out_count = chain->in_count = 0;
    chain->out_bytes = chain->in_bytes = 0;
    ret = walk(vq, chain, vq->desc, vq->size, chain->head, &indirect);
    if (ret < 0 || (indirect.flags & VRING_DESC_F_INDIRECT) == 0)
        return ret;

    count = indirect.len / (uint32_t)sizeof(struct vring_desc);
    if (count == 0 || indirect.len % sizeof(struct vring_desc) != 0 || count > vq->size)
        return -EPROTO;
    table = guest_memory_at(vq->memory, indirect.addr, indirect.len);
    if (table == NULL)
        return -EPROTO;
    return walk(vq, chain, table, count, 0, NULL);
}

int virtqueue_chain_at(const struct virtqueue *vq, uint16_t head, struct virtqueue_chain *chain)
{
    if (!vq->running || vq->broken)
        return -EPROTO;
    chain->head = head;
    return read_chain(vq, chain);
}

int virtqueue_pop(struct virtqueue *vq, struct virtqueue_chain *chain)
{
    uint16_t pending, slot;

    if (!vq->running || vq->is_held)
        return 0;
    if (vq->broken)
        return -EPROTO;
    pending = (uint16_t)(load16_acquire(vq->avail + RING_IDX) - vq->last_avail);
    if (pending == 0)
        return 0;
    if (pending > vq->size)
        return break_queue(vq);
    slot = vq->last_avail & (vq->size - 1);
    chain->head = load16(vq->avail + RING_ENTRIES + sizeof(uint16_t) * slot);
    if (read_chain(vq, chain) < 0)
        return break_queue(vq);
    vq->last_avail++;
    vq->in_flight++;
    vq->last_out_bytes = chain->out_bytes;
    count(&vq->figures.read_bytes, chain->out_bytes);
    return 1;
}

static void signal_fd(int fd)
{
    const uint64_t one = 1;

    /* Fails only when the counter is full: then a signal is pending already. */
    if (fd >= 0 && write(fd, &one, sizeof(one)) < 0)
        return;
}

/* A chain has come back. */
static void returned(struct virtqueue *vq)
{
    if (vq->in_flight > 0)
        vq->in_flight--;
    if (vq->is_held && vq->in_flight == 0)
        signal_fd(vq->idle_fd);
}

void virtqueue_put_off(struct virtqueue *vq)
{
    returned(vq);
}

int virtqueue_retake(struct virtqueue *vq, uint16_t head, struct virtqueue_chain *chain)
{
    if (!vq->running || vq->is_held)
        return 0;
    if (vq->broken)
        return -EPROTO;
    chain->head = head;
    if (read_chain(vq, chain) < 0)
        return break_queue(vq);
    vq->in_flight++;
    return 1;
}

void virtqueue_unpop(struct virtqueue *vq)
{
    vq->last_avail--;
    /* Of those before the last one the size is not known any more: they count twice. */
    count(&vq->figures.read_bytes, -(uint64_t)vq->last_out_bytes);
    vq->last_out_bytes = 0;
    returned(vq);
}

unsigned int virtqueue_available(const struct virtqueue *vq)
{
    if (!vq->running || vq->is_held || vq->broken)
        return 0;
    return (uint16_t)(load16_acquire(vq->avail + RING_IDX) - vq->last_avail);
}

bool virtqueue_has_available(struct virtqueue *vq)
{
    return virtqueue_available(vq) > 0;
}

void virtqueue_add_used(struct virtqueue *vq, uint16_t head, uint32_t written)
{
    struct vring_used_elem elem = {.id = htole32(head), .len = htole32(written)};
    uint16_t slot = vq->used_idx & (vq->size - 1);

    if (!vq->running)
        return;
    returned(vq);
    if (vq->broken)
        return;
    memcpy(vq->used + RING_ENTRIES + sizeof(elem) * slot, &elem, sizeof(elem));
    vq->used_idx++;
    count(&vq->figures.requests, 1);
    count(&vq->figures.written_bytes, written);
}

void virtqueue_publish_used(struct virtqueue *vq)
{
    if (vq->running && !vq->broken)
        store16_release(vq->used + RING_IDX, vq->used_idx);
}

void virtqueue_push(struct virtqueue *vq, uint16_t head, uint32_t written)
{
    virtqueue_add_used(vq, head, written);
    virtqueue_publish_used(vq);
}

/* Section 2.7.7: whether the driver wants to hear of what was pushed since the last call. */
static bool wants_interrupt(struct virtqueue *vq)
{
    uint16_t old = vq->signalled_used, now = vq->used_idx;

    if (old == now)
        return false;
    vq->signalled_used = now;
    /* used->idx must be visible before the driver's wish is read. */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (!vq->event_idx)
        return (load16(vq->avail + RING_FLAGS) & VRING_AVAIL_F_NO_INTERRUPT) == 0;
    return vring_need_event(load16(used_event_of(vq)), now, old) != 0;
}

void virtqueue_interrupt(struct virtqueue *vq)
{
    if (vq->isr != NULL)
        atomic_fetch_or(vq->isr, 1);
    signal_fd(vq->call_fd);
}

bool virtqueue_notify(struct virtqueue *vq)
{
    if (!vq->running || vq->broken || !wants_interrupt(vq))
        return false;
    count(&vq->figures.interrupts, 1);
    virtqueue_interrupt(vq);
    return true;
}

bool virtqueue_notify_with(struct virtqueue *vq, struct virtqueue *other)
{
    if (!virtqueue_notify(vq))
        return false;
    /* Whoever handles the shared interrupt looks at both; what is in other came before it. */
    if (other->call_fd != vq->call_fd)
        virtqueue_notify(other);
    else if (other->running && !other->broken)
        (void)wants_interrupt(other);
    return true;
}

void virtqueue_enable_kicks(struct virtqueue *vq, bool enable)
{
    if (!vq->running)
        return;
    if (!vq->event_idx) {
        store16(vq->used + RING_FLAGS, enable ? 0 : VRING_USED_F_NO_NOTIFY);
    } else if (enable) {
        /* Disabling needs nothing: the index asked for last lies behind. */
        store16(avail_event_of(vq), vq->last_avail);
    }
    /* The wish must be visible before the caller looks at avail->idx again. */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

void virtqueue_await_kick(struct virtqueue *vq)
{
    virtqueue_enable_kicks(vq, true);
    /* Through the kick descriptor, so that the rest of the loop gets its turn first. */
    if (virtqueue_has_available(vq))
        signal_fd(vq->kick_fd);
}

/* Moves size bytes between buf and the segments, from byte offset of the first on. */
static size_t copy_segments(const struct iovec *segment, unsigned int count, size_t offset,
                            uint8_t *buf, size_t size, bool to_segments)
{
    size_t done = 0;

    for (unsigned int i = 0; i < count && done < size; i++) {
        size_t len = segment[i].iov_len;
        uint8_t *p = segment[i].iov_base;

        if (offset >= len) {
            offset -= len;
            continue;
        }
        len -= offset;
        if (len > size - done)
            len = size - done;
        if (to_segments)
            memcpy(p + offset, buf + done, len);
        else
            memcpy(buf + done, p + offset, len);
        done += len;
        offset = 0;
    }
    return done;
}

size_t virtqueue_chain_read(const struct virtqueue_chain *chain, size_t offset, void *buf,
                            size_t size)
{
    return copy_segments(chain->segment, chain->out_count, offset, buf, size, false);
}

size_t virtqueue_chain_write(const struct virtqueue_chain *chain, size_t offset, const void *buf,
                             size_t size)
{
    return copy_segments(chain->segment + chain->out_count, chain->in_count, offset,
                         (uint8_t *)(uintptr_t)buf, size, true);
}

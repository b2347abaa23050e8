/* SPDX-License-Identifier: MIT */
/* virtio-net's data path: frames between a pair of queues and the host end. */

/*
 * Theory of operation
 *
 * Frames are not copied here, where it can be helped: the host end reads and writes
 * the guest's buffers themselves. Only the header is copied, both ways, so that what
 * was checked is what is used.
 *
 * To the guest: a frame's size is known only once it was read, and a large one may
 * take as many small buffers (VIRTIO_NET_F_MRG_RXBUF) as 64 KiB hold. While large
 * ones come, buffers for the largest are taken before each read; otherwise one is, as
 * every one costs time here and in the kernel: acknowledgements are small. What a
 * frame did not need is kept for the next one, and put back into the queue when the
 * pair stops. A spare buffer of ours behind them catches what they cannot hold. Such a
 * frame waits in it until there is room, and all those behind it wait in the host's
 * queue.
 *
 * What the guest sends is often answered at once, TCP's data by the host's own
 * acknowledgements. So the host end is looked at as soon as something was sent, and
 * when the guest is interrupted for what came, the interrupt for what was sent is put
 * off: drivers look at both queues then, and mostly want none any more when the next
 * frames are sent. One that still does gets it a moment later. With large frames that
 * are being answered, the next answer is awaited in the same way.
 *
 * Where frames go one way only, one short turn after another, a turn begins with a
 * short sleep, in which more of them gather: else each small frame of a burst would
 * cost an exit of the guest's or an interrupt, and the switch to this thread. Frames
 * that are answered are never kept waiting by that, but for large ones from the guest,
 * whose sender has more under way and waits for no single answer. Nor are those of a
 * stream for the guest: its buffers hold a few large ones, and passt drops those that do
 * not fit, for two seconds. Where several large ones are there already the guest is ahead
 * of this thread, which does not wait then.
 *
 * A turn is bounded, so that neither direction starves the other; descriptors are
 * watched level-triggered and bring the next turn. Kicks are watched edge-triggered:
 * that spares a system call for each, as their counters need not be read.
 */
#include <endian.h>
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "kvm/virtio/net-internal.h"

#define TURN_FRAMES 64
/* So many small frames in a row, and the next ones are taken to be small as well. */
#define LARGE_MEMORY 64
/* How long the interrupt for what was sent may be put off. */
#define OWING_MS 1
/* Turns that follow so soon are one burst; and how long frames of it gather. */
#define BURST_NS  100000
#define GATHER_NS 30000
/* The same bound for large frames from the guest, those of more than so many bytes; and how many of
   them are enough for a turn. */
#define BULK_BYTES  8192
#define BULK_NS     1000000
#define BULK_FRAMES 4
/* So many frames are told to have been sent without waiting for an answer to them. */
#define OWING_FRAMES 32

/* ---- What the guest claims of its frames ---- */

static bool has(uint64_t features, unsigned int bit)
{
    return (features >> bit & 1) != 0;
}

static bool is_gso_agreed(uint8_t type, uint64_t features)
{
    switch (type & ~VIRTIO_NET_HDR_GSO_ECN) {
    case VIRTIO_NET_HDR_GSO_TCPV4:
        break;
    case VIRTIO_NET_HDR_GSO_TCPV6:
        return has(features, VIRTIO_NET_F_HOST_TSO6) &&
               ((type & VIRTIO_NET_HDR_GSO_ECN) == 0 || has(features, VIRTIO_NET_F_HOST_ECN));
    case VIRTIO_NET_HDR_GSO_UDP_L4:
        return type == VIRTIO_NET_HDR_GSO_UDP_L4 && has(features, VIRTIO_NET_F_HOST_USO);
    default:
        return false;
    }
    return has(features, VIRTIO_NET_F_HOST_TSO4) &&
           ((type & VIRTIO_NET_HDR_GSO_ECN) == 0 || has(features, VIRTIO_NET_F_HOST_ECN));
}

bool net_check_header(struct virtio_net_hdr_v1 *header, size_t bytes, uint64_t features)
{
    uint16_t start = le16toh(header->csum_start), offset = le16toh(header->csum_offset);
    bool needs_csum = (header->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) != 0;

    /* Section 5.1.6.2: the other flags are the device's to set. */
    header->flags &= VIRTIO_NET_HDR_F_NEEDS_CSUM;
    header->num_buffers = 0;
    if (needs_csum) {
        if (!has(features, VIRTIO_NET_F_CSUM) || start < NET_FRAME_MIN ||
            (size_t)start + offset + sizeof(uint16_t) > bytes)
            return false;
    } else {
        header->csum_start = header->csum_offset = 0;
    }
    if (header->gso_type == VIRTIO_NET_HDR_GSO_NONE) {
        header->gso_size = header->hdr_len = 0;
        return true;
    }
    /* A segment needs a checksum of its own; a size of none would never come to an end. */
    return needs_csum && is_gso_agreed(header->gso_type, features) &&
           le16toh(header->gso_size) != 0 && le16toh(header->hdr_len) <= bytes;
}

/* ---- Watching ---- */

static void set_gone(struct net_pair *pair)
{
    pair->is_gone = true;
    if (!atomic_exchange(&pair->net->is_gone, true))
        (void)eventfd_write(pair->net->gone_fd, 1);
}

static void update_events(struct net_pair *pair)
{
    uint32_t events = 0;

    if (!pair->is_gone) {
        if (!pair->is_starving)
            events |= EPOLLIN;
        if (pair->is_blocked)
            events |= EPOLLOUT;
    }
    event_modify(pair->source, events);
}

static int64_t now_ns(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Whether more frames that go that way are to be expected soon, and are worth waiting for. */
static bool is_gathering(const struct net_pair *pair, enum net_way way)
{
    if (way == NET_FROM_GUEST && pair->is_bulk)
        return !pair->is_blocked && virtqueue_available(pair->tx) < BULK_FRAMES &&
               now_ns() - pair->turned_ns < BULK_NS;
    return (pair->net->end->is_tap || way == NET_FROM_GUEST) && pair->way == way &&
           now_ns() - pair->turned_ns < BURST_NS;
}

/* Before a turn for frames that go that way. */
static void gather(const struct net_pair *pair, enum net_way way)
{
    const struct timespec duration = {.tv_nsec = GATHER_NS};

    if (is_gathering(pair, way))
        (void)clock_nanosleep(CLOCK_MONOTONIC, 0, &duration, NULL);
}

/* was_cut: there may be more without any waiting. */
static void end_turn(struct net_pair *pair, enum net_way way, bool was_cut)
{
    pair->way = was_cut ? NET_BOTH_WAYS : way;
    pair->turned_ns = now_ns();
}

/* ---- To the guest ---- */

static bool is_merging(const struct net_pair *pair)
{
    return virtio_device_has_feature((struct virtio_device *)(void *)pair->net,
                                     VIRTIO_NET_F_MRG_RXBUF);
}

/* Takes buffers until a frame of wanted bytes fits, or as many as there are. False: there is
   none. */
static bool take_room(struct net_pair *pair, size_t wanted)
{
    const struct virtqueue_chain *chain = &pair->chain;
    unsigned int count_max = is_merging(pair) ? NET_ROOM_MAX : 1;

    while (pair->room_count < count_max && pair->room_bytes < NET_HEADER_BYTES + wanted &&
           pair->segment_count + VIRTQUEUE_MAX_SIZE <= NET_SEGMENTS_MAX &&
           virtqueue_pop(pair->rx, &pair->chain) > 0) {
        struct net_room *room = &pair->room[pair->room_count];

        /* Section 5.1.6.3.1: each holds at least the header. */
        if (chain->in_bytes < NET_HEADER_BYTES) {
            pair->rx->broken = true;
            break;
        }
        *room = (struct net_room){.head = chain->head,
                                  .first = pair->segment_count,
                                  .count = chain->in_count,
                                  .bytes = chain->in_bytes};
        memcpy(pair->segment + pair->segment_count, chain->segment + chain->out_count,
               chain->in_count * sizeof(chain->segment[0]));
        pair->segment_count += chain->in_count;
        pair->room_bytes += chain->in_bytes;
        pair->room_count++;
    }
    return pair->room_count > 0 && !pair->rx->broken;
}

static void forget_room(struct net_pair *pair)
{
    pair->room_count = pair->segment_count = 0;
    pair->room_bytes = 0;
}

static void give_room_back(struct net_pair *pair)
{
    for (unsigned int i = 0; i < pair->room_count; i++)
        virtqueue_unpop(pair->rx);
    forget_room(pair);
}

/* Lists the room for a frame in the first buffers: all segments, without the place of the header.
   The number of them. */
static unsigned int list_room(const struct net_pair *pair, unsigned int buffers, struct iovec *list)
{
    const struct net_room *last = &pair->room[buffers - 1];
    size_t skip = NET_HEADER_BYTES;
    unsigned int count = 0;

    for (unsigned int i = 0; i < last->first + last->count; i++) {
        struct iovec part = pair->segment[i];
        size_t drop = skip < part.iov_len ? skip : part.iov_len;

        skip -= drop;
        if (part.iov_len == drop)
            continue;
        list[count++] = (struct iovec){.iov_base = (uint8_t *)part.iov_base + drop,
                                       .iov_len = part.iov_len - drop};
    }
    return count;
}

static void write_header(const struct net_pair *pair, const struct virtio_net_hdr_v1 *header)
{
    const uint8_t *from = (const uint8_t *)header;
    size_t left = NET_HEADER_BYTES;

    for (unsigned int i = 0; left > 0; i++) {
        const struct iovec *part = &pair->segment[i];
        size_t size = part->iov_len < left ? part->iov_len : left;

        memcpy(part->iov_base, from, size);
        from += size;
        left -= size;
    }
}

/* Returns the buffers that a frame of size bytes lies in, and keeps the rest. */
static void commit(struct net_pair *pair, struct virtio_net_hdr_v1 *header, size_t size)
{
    size_t left = NET_HEADER_BYTES + size;
    unsigned int used = 0, segments;

    while (left > 0) {
        const struct net_room *room = &pair->room[used++];
        size_t part = room->bytes < left ? room->bytes : left;

        virtqueue_add_used(pair->rx, room->head, (uint32_t)part);
        pair->room_bytes -= room->bytes;
        left -= part;
    }
    header->num_buffers = htole16((uint16_t)used);
    write_header(pair, header);
    /* All at once: the driver does not wait for the second half of a frame. */
    virtqueue_publish_used(pair->rx);
    pair->room_count -= used;
    segments = pair->room_count > 0 ? pair->room[used].first : pair->segment_count;
    pair->segment_count -= segments;
    memmove(pair->segment, pair->segment + segments, pair->segment_count * sizeof(struct iovec));
    for (unsigned int i = 0; i < pair->room_count; i++) {
        pair->room[i] = pair->room[used + i];
        pair->room[i].first -= segments;
    }
}

/* Tries to get rid of the frame that was too large. False: the guest must make room first. */
static bool deliver_pending(struct net_pair *pair)
{
    unsigned int count;
    const uint8_t *from = pair->pending;
    size_t left = pair->pending_size;

    if (!take_room(pair, NET_FRAME_MAX))
        return false;
    if (pair->room_bytes < NET_HEADER_BYTES + pair->pending_size) {
        /* There is no more room to come: the driver cannot receive such frames. */
        if (!is_merging(pair) || pair->room_count == NET_ROOM_MAX ||
            pair->room_count == pair->rx->size ||
            pair->segment_count + VIRTQUEUE_MAX_SIZE > NET_SEGMENTS_MAX) {
            pair->pending_size = 0;
            return true;
        }
        return false;
    }
    count = list_room(pair, pair->room_count, pair->list);
    for (unsigned int i = 0; i < count && left > 0; i++) {
        size_t size = pair->list[i].iov_len < left ? pair->list[i].iov_len : left;

        memcpy(pair->list[i].iov_base, from, size);
        from += size;
        left -= size;
    }
    commit(pair, &pair->pending_header, pair->pending_size);
    pair->pending_size = 0;
    return true;
}

/* Moves what lies in the guest's buffers before the part that pending has caught. */
static void keep_pending(struct net_pair *pair, const struct virtio_net_hdr_v1 *header,
                         unsigned int count, size_t size)
{
    uint8_t *to = pair->pending;

    for (unsigned int i = 0; i < count; i++) {
        memcpy(to, pair->list[1 + i].iov_base, pair->list[1 + i].iov_len);
        to += pair->list[1 + i].iov_len;
    }
    pair->pending_header = *header;
    pair->pending_size = size;
}

/* Receives one frame into the room taken. 0, -EAGAIN or -ENOTCONN. */
static int receive_frame(struct net_pair *pair)
{
    struct net_end *end = pair->net->end;
    struct virtio_net_hdr_v1 header = {.flags = 0};
    bool is_large = pair->large_left > 0;
    size_t capacity = (is_large ? pair->room_bytes : pair->room[0].bytes) - NET_HEADER_BYTES;
    unsigned int count = list_room(pair, is_large ? pair->room_count : 1, pair->list + 1);
    unsigned int total = 1 + count;
    ssize_t n;

    pair->list[0] = (struct iovec){.iov_base = &header, .iov_len = sizeof(header)};
    /* One byte more than any frame, to notice those that are larger still. */
    if (capacity < sizeof(pair->pending))
        pair->list[total++] = (struct iovec){.iov_base = pair->pending + capacity,
                                             .iov_len = sizeof(pair->pending) - capacity};
    n = end->ops->receive(end, pair->index, pair->list, total);
    if (n < 0)
        return (int)n;
    if (n < (ssize_t)NET_FRAME_MIN || (size_t)n > NET_FRAME_MAX)
        return 0;
    if (NET_HEADER_BYTES + (size_t)n > pair->room[0].bytes)
        pair->large_left = LARGE_MEMORY;
    else if (is_large)
        pair->large_left--;
    if ((size_t)n > capacity)
        keep_pending(pair, &header, count, (size_t)n);
    else
        commit(pair, &header, (size_t)n);
    return 0;
}

/* Receives frames until there is none, or no room, or the turn is over. */
static int receive_frames(struct net_pair *pair)
{
    int code = 0;

    for (unsigned int i = 0; i < TURN_FRAMES && code == 0; i++) {
        if ((pair->pending_size > 0 && !deliver_pending(pair)) ||
            !take_room(pair, pair->large_left > 0 ? NET_FRAME_MAX : NET_FRAME_MIN)) {
            pair->is_starving = true;
            break;
        }
        code = receive_frame(pair);
    }
    return code;
}

/* A turn of receiving: whether the guest was interrupted for what came. */
static bool receive(struct net_pair *pair)
{
    struct net_end *end = pair->net->end;
    bool is_told;
    int code;

    pair->is_starving = false;
    code = receive_frames(pair);
    /* What there is counts as taken, so that the kick is one for more than that. */
    if (pair->is_starving)
        virtqueue_await_kick(pair->rx);
    is_told = virtqueue_notify(pair->rx);
    end_turn(pair, NET_TO_GUEST, code == 0 && !pair->is_starving);
    if (code == -ENOTCONN)
        set_gone(pair);
    else if (code == 0 && !pair->is_starving &&
             (pair->pending_size > 0 ||
              (end->ops->has_buffered != NULL && end->ops->has_buffered(end, pair->index))))
        (void)eventfd_write(pair->rx->kick_fd, 1); /* a turn of its own */
    update_events(pair);
    return is_told;
}

/* ---- From the guest ---- */

/* Sends the frame in the chain: as the end's send(), and 0 for one that is nonsense. */
static int send_frame(struct net_pair *pair)
{
    struct net_end *end = pair->net->end;
    const struct virtqueue_chain *chain = &pair->chain;
    struct virtio_net_hdr_v1 header;
    size_t skip = sizeof(header), bytes;
    unsigned int count = 1;

    if (pair->is_gone || virtqueue_chain_read(chain, 0, &header, sizeof(header)) != sizeof(header))
        return 0;
    bytes = chain->out_bytes - sizeof(header);
    if (bytes < NET_FRAME_MIN || bytes > NET_FRAME_MAX ||
        !net_check_header(&header, bytes, pair->net->dev.driver_features))
        return 0;
    pair->list[0] = (struct iovec){.iov_base = &header, .iov_len = sizeof(header)};
    for (unsigned int i = 0; i < chain->out_count; i++) {
        struct iovec part = chain->segment[i];
        size_t drop = skip < part.iov_len ? skip : part.iov_len;

        skip -= drop;
        if (part.iov_len == drop)
            continue;
        pair->list[count++] = (struct iovec){.iov_base = (uint8_t *)part.iov_base + drop,
                                             .iov_len = part.iov_len - drop};
    }
    return end->ops->send(end, pair->index, pair->list, count, bytes);
}

/* The driver hears of what was sent. */
static void tell_sent(struct net_pair *pair)
{
    pair->is_owing = false;
    virtqueue_notify(pair->tx);
}

static void tell_sent_later(struct net_pair *pair)
{
    pair->is_owing = true;
    if (!pair->is_timer_set)
        event_timer_set(pair->timer, OWING_MS);
    pair->is_timer_set = true;
}

static void on_timer(void *opaque)
{
    struct net_pair *pair = opaque;

    pair->is_timer_set = false;
    if (pair->is_owing)
        tell_sent(pair);
}

/* Whether to wait for what large frames are answered with before the driver hears of them: they
   have been until now, and it does not need the buffers of so few. */
static bool is_answer_due(struct net_pair *pair)
{
    const bool is_answered = pair->rx->used_idx != pair->answered_idx;

    pair->answered_idx = pair->rx->used_idx;
    return pair->is_bulk && is_answered &&
           (uint16_t)(pair->tx->used_idx - pair->tx->signalled_used) < OWING_FRAMES;
}

/* 0: what was sent has left the host end, or there is none any more; -EAGAIN: it takes no more. */
static int flush_end(struct net_pair *pair)
{
    struct net_end *end = pair->net->end;
    int code = end->ops->flush != NULL ? end->ops->flush(end, pair->index) : 0;

    if (code != -ENOTCONN)
        return code;
    set_gone(pair);
    return 0;
}

static void transmit(struct net_pair *pair)
{
    const uint16_t received = pair->rx->used_idx;
    const bool is_due = is_answer_due(pair);
    unsigned int i;
    int code = 0;

    gather(pair, NET_FROM_GUEST);
    pair->is_bulk = false;
    for (i = 0; i < TURN_FRAMES && code == 0; i++) {
        if (virtqueue_pop(pair->tx, &pair->chain) <= 0)
            break;
        pair->is_bulk = pair->is_bulk || pair->chain.out_bytes > BULK_BYTES;
        code = send_frame(pair);
        if (code == -EAGAIN) {
            virtqueue_unpop(pair->tx);
            break;
        }
        virtqueue_push(pair->tx, pair->chain.head, 0);
        if (code == -ENOTCONN) {
            set_gone(pair);
            code = 0; /* the driver gets its buffers back, all of them */
        }
    }
    if (code == 0 && !pair->is_gone)
        code = flush_end(pair);
    pair->is_blocked = code != 0;
    if ((!pair->is_gone && !pair->is_starving && receive(pair)) || is_due)
        tell_sent_later(pair);
    else
        tell_sent(pair);
    end_turn(pair, pair->rx->used_idx != received ? NET_BOTH_WAYS : NET_FROM_GUEST,
             i == TURN_FRAMES);
    if (pair->is_blocked)
        virtqueue_enable_kicks(pair->tx, false);
    else
        virtqueue_await_kick(pair->tx);
    update_events(pair);
}

static void on_end(void *opaque, uint32_t events)
{
    struct net_pair *pair = opaque;

    if (pair->is_blocked && (events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) != 0 &&
        flush_end(pair) != -EAGAIN)
        transmit(pair);
    if (!pair->is_gone && !pair->is_starving && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) {
        gather(pair, NET_TO_GUEST);
        (void)receive(pair);
    }
    update_events(pair);
}

static void on_rx_kick(void *opaque, uint32_t events)
{
    struct net_pair *pair = opaque;

    (void)events;
    if (!pair->is_gone)
        (void)receive(pair);
}

static void on_tx_kick(void *opaque, uint32_t events)
{
    struct net_pair *pair = opaque;

    (void)events;
    if (!pair->is_blocked)
        transmit(pair);
}

int net_pair_start(struct net_pair *pair)
{
    struct net_end *end = pair->net->end;

    pair->is_starving = pair->is_blocked = pair->is_gone = false;
    pair->is_owing = pair->is_timer_set = false;
    pair->way = NET_BOTH_WAYS;
    pair->is_bulk = false;
    pair->answered_idx = pair->rx->used_idx;
    pair->pending_size = 0;
    forget_room(pair);
    pair->source = event_add(pair->loop, end->fd[pair->index], EPOLLIN, on_end, pair);
    if (pair->source == NULL)
        return -errno;
    pair->rx_kick = event_add(pair->loop, pair->rx->kick_fd, EPOLLIN | EPOLLET, on_rx_kick, pair);
    pair->tx_kick = event_add(pair->loop, pair->tx->kick_fd, EPOLLIN | EPOLLET, on_tx_kick, pair);
    pair->timer = event_timer_add(pair->loop, on_timer, pair);
    if (pair->rx_kick == NULL || pair->tx_kick == NULL || pair->timer == NULL)
        return -errno;
    /* The driver may have filled its queues before anybody watched. */
    (void)eventfd_write(pair->rx->kick_fd, 1);
    (void)eventfd_write(pair->tx->kick_fd, 1);
    return 0;
}

void net_pair_stop(struct net_pair *pair)
{
    give_room_back(pair);
    if (pair->is_owing)
        tell_sent(pair);
    event_remove(pair->source);
    event_remove(pair->rx_kick);
    event_remove(pair->tx_kick);
    event_remove(pair->timer);
    pair->source = pair->rx_kick = pair->tx_kick = pair->timer = NULL;
}

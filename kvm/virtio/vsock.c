/* SPDX-License-Identifier: MIT */
/* The virtio-vsock device: its queues, and whose turn it is to use them. */

/*
 * Theory of operation
 *
 * tx queue (from the guest): every packet is judged and acted upon at once; none
 * ever waits for another stream. Answers are only noted (see vsock-stream.c), or,
 * for packets without a stream, kept in a bounded list; when that is full the
 * queue rests until the guest has taken some, as section 5.10.6.1 foresees.
 *
 * rx queue (to the guest): connections with something to say stand in one line,
 * `ready`. Each turn sends the control packets owed and up to 64 KiB read from the
 * socket right into the guest's buffers, several of them with one readv(2); who
 * has more goes to the end of the line. A stream of small messages takes few
 * buffers out of the queue, and one that fills them more at each turn. Without buffers the line
 * waits for a kick.
 *
 * Interrupts are raised once per round, not per packet, and that for packets of the guest's
 * that were taken is put off: all it says is that their memory is free again. It goes along
 * with the next one of the rx queue, as a rule that of the answer or of the credit that the
 * guest waits for, but no later than a quarter of the queue or a millisecond.
 *
 * The event queue may be absent: a vhost-user frontend keeps it to itself.
 */
#include "kvm/virtio/vsock-event.h"
#include "kvm/virtio/vsock-internal.h"

#include <errno.h>
#include <stdlib.h>

#include <linux/virtio_ids.h>

#include "lib/base/deadline.h"

#define QUEUE_SIZE 128
/* What one call may do before the rest of the loop gets its turn. */
#define TX_PACKETS_MAX   64
#define TURNS_MAX        32
#define IOV_MAX_PER_TURN 256u
/* How long the interrupt for packets taken may be put off. */
#define OWING_MS 1

static struct vsock_device *vsock_of(struct virtio_device *dev)
{
    return (struct vsock_device *)dev;
}

/* Takes a buffer of the guest's for at least a header and one byte. */
static bool pop_rx(struct vsock_device *vsock, struct virtqueue_chain *chain)
{
    struct virtqueue *rx = &vsock->dev.queue[VSOCK_QUEUE_RX];

    if (virtqueue_pop(rx, chain) <= 0)
        return false;
    if (chain->in_bytes <= VSOCK_HEADER_BYTES || chain->out_count != 0) {
        rx->broken = true;
        return false;
    }
    return true;
}

static void push_packet(struct vsock_device *vsock, const struct virtqueue_chain *chain,
                        const struct vsock_packet *packet)
{
    const struct virtio_vsock_hdr hdr = vsock_packet_encode(packet);

    (void)virtqueue_chain_write(chain, 0, &hdr, sizeof(hdr));
    virtqueue_push(&vsock->dev.queue[VSOCK_QUEUE_RX], chain->head,
                   (uint32_t)sizeof(hdr) + packet->len);
}

/* Appends the payload part of a receive chain to iov, at most room bytes; what it holds. */
static uint32_t add_payload(const struct virtqueue_chain *chain, uint32_t room, struct iovec *iov,
                            unsigned int *count)
{
    const struct iovec *segment = chain->segment;
    size_t skip = VSOCK_HEADER_BYTES;
    uint32_t size = 0;

    for (unsigned int i = 0; i < chain->in_count && room > 0 && *count < IOV_MAX_PER_TURN; i++) {
        struct iovec part = segment[i];

        if (skip >= part.iov_len) {
            skip -= part.iov_len;
            continue;
        }
        part.iov_base = (uint8_t *)part.iov_base + skip;
        part.iov_len -= skip;
        skip = 0;
        if (part.iov_len > room)
            part.iov_len = room;
        room -= (uint32_t)part.iov_len;
        size += (uint32_t)part.iov_len;
        iov[(*count)++] = part;
    }
    return size;
}

/* Reads from the socket into as many buffers as one turn may fill. False: there was none. */
static bool send_data(struct vsock_device *vsock, struct vsock_conn *conn)
{
    struct virtqueue *rx = &vsock->dev.queue[VSOCK_QUEUE_RX];
    struct iovec iov[IOV_MAX_PER_TURN];
    uint32_t share[VSOCK_TURN_CHAINS];
    uint32_t room = vsock_stream_credit(&conn->stream);
    unsigned int taken = 0, used = 0, count = 0;
    ssize_t n;

    if (room > conn->turn_bytes)
        room = conn->turn_bytes;
    while (taken < VSOCK_TURN_CHAINS && room > 0 && count < IOV_MAX_PER_TURN &&
           pop_rx(vsock, &vsock->chain[taken])) {
        share[taken] = add_payload(&vsock->chain[taken], room, iov, &count);
        room -= share[taken++];
    }
    if (taken == 0)
        return false;
    n = vsock_conn_read(conn, iov, count);
    for (; n > 0 && used < taken; used++) {
        struct vsock_packet packet;
        uint32_t len = (size_t)n < share[used] ? (uint32_t)n : share[used];

        vsock_stream_next_data(&conn->stream, len, &packet);
        push_packet(vsock, &vsock->chain[used], &packet);
        n -= len;
    }
    for (; used < taken; used++)
        virtqueue_unpop(rx);
    return true;
}

/* Sends what is owed. False: the guest has no buffer. */
static bool send_control(struct vsock_device *vsock, struct vsock_conn *conn)
{
    while (vsock_stream_owes(&conn->stream)) {
        struct vsock_packet packet;

        if (!pop_rx(vsock, &vsock->chain[0]))
            return false;
        (void)vsock_stream_next_control(&conn->stream, &packet);
        push_packet(vsock, &vsock->chain[0], &packet);
    }
    return true;
}

/* One connection's turn. False: it must wait for buffers. */
static bool serve(struct vsock_device *vsock, struct vsock_conn *conn)
{
    if (!send_control(vsock, conn))
        return false;
    if (conn->readable && !conn->host_eof && vsock_stream_credit(&conn->stream) > 0 &&
        !send_data(vsock, conn))
        return false;
    return send_control(vsock, conn); /* the end of the host's data, for one */
}

static bool send_refusals(struct vsock_device *vsock)
{
    while (vsock->refusal_count > 0) {
        if (!pop_rx(vsock, &vsock->chain[0]))
            return false;
        push_packet(vsock, &vsock->chain[0], &vsock->refusal[vsock->refusal_head]);
        vsock->refusal_head = (vsock->refusal_head + 1) % VSOCK_MAX_REFUSALS;
        vsock->refusal_count--;
    }
    return true;
}

/* False: the line waits for buffers. */
static bool serve_line(struct vsock_device *vsock)
{
    struct vsock_conn *conn;

    if (!send_refusals(vsock))
        return false;
    for (unsigned int i = 0; (conn = TAILQ_FIRST(&vsock->ready)) != NULL; i++) {
        if (i == TURNS_MAX) {
            event_timer_set(vsock->resume_timer, 0);
            return true;
        }
        if (!serve(vsock, conn))
            return false;
        TAILQ_REMOVE(&vsock->ready, conn, ready);
        conn->is_ready = false;
        vsock_conn_update(conn); /* to the end of the line, if it has more */
    }
    return true;
}

static uint16_t taken_untold(const struct virtqueue *tx)
{
    return (uint16_t)(tx->used_idx - tx->signalled_used);
}

static void tell_taken_later(struct vsock_device *vsock)
{
    const struct virtqueue *tx = &vsock->dev.queue[VSOCK_QUEUE_TX];

    if (taken_untold(tx) == 0 || vsock->is_telling)
        return;
    vsock->is_telling = true;
    event_timer_set(vsock->tell_timer, OWING_MS);
}

static void on_tell(void *opaque)
{
    struct vsock_device *vsock = opaque;

    vsock->is_telling = false;
    virtqueue_notify(&vsock->dev.queue[VSOCK_QUEUE_TX]);
}

void vsock_pump(struct vsock_device *vsock)
{
    struct virtqueue *rx = &vsock->dev.queue[VSOCK_QUEUE_RX];
    struct virtqueue *tx = &vsock->dev.queue[VSOCK_QUEUE_TX];

    if (!rx->running || rx->broken)
        return;
    if (serve_line(vsock))
        virtqueue_enable_kicks(rx, false); /* they matter only to a line that waits */
    else
        virtqueue_await_kick(rx);
    virtqueue_notify_with(rx, tx);
    if (vsock->tx_paused && vsock->refusal_count < VSOCK_MAX_REFUSALS) {
        vsock->tx_paused = false;
        virtqueue_await_kick(tx);
    }
}

static void on_resume(void *opaque)
{
    struct vsock_device *vsock = opaque;

    vsock_pump(vsock);
    vsock_conn_reap(vsock);
}

static void refuse(struct vsock_device *vsock, const struct vsock_packet *packet)
{
    unsigned int at = (vsock->refusal_head + vsock->refusal_count) % VSOCK_MAX_REFUSALS;

    if (packet->op == VIRTIO_VSOCK_OP_RST)
        return;
    vsock->refusal[at] = vsock_packet_refusal(packet);
    vsock->refusal_count++;
}

static void receive_packet(struct vsock_device *vsock, const struct virtqueue_chain *chain)
{
    struct virtio_vsock_hdr hdr;
    struct vsock_packet packet;
    struct vsock_conn *conn;

    if (virtqueue_chain_read(chain, 0, &hdr, sizeof(hdr)) != sizeof(hdr))
        return;
    packet = vsock_packet_decode(&hdr);
    /* Section 5.10.6.4: the device vouches for the source, and is the host alone. */
    if (packet.src_cid != vsock->guest_cid || packet.dst_cid != VSOCK_HOST_CID)
        return;
    if (packet.type != VIRTIO_VSOCK_TYPE_STREAM) {
        refuse(vsock, &packet);
        return;
    }
    conn = vsock_conn_find(vsock, packet.src_port, packet.dst_port);
    if (packet.op == VIRTIO_VSOCK_OP_RW && packet.len > chain->out_bytes - sizeof(hdr)) {
        /* Bytes that are not there: the stream has no consistent continuation. */
        if (conn != NULL) {
            vsock_stream_reset(&conn->stream);
            vsock_conn_update(conn);
        } else {
            refuse(vsock, &packet);
        }
        return;
    }
    if (conn != NULL)
        vsock_conn_receive(conn, &packet, chain, sizeof(hdr));
    else if (packet.op != VIRTIO_VSOCK_OP_REQUEST || !vsock_host_open(vsock, &packet))
        refuse(vsock, &packet);
}

static void receive_packets(struct vsock_device *vsock)
{
    struct virtqueue *tx = &vsock->dev.queue[VSOCK_QUEUE_TX];
    struct virtqueue_chain *chain = &vsock->chain[0];

    for (unsigned int i = 0; i < TX_PACKETS_MAX && !vsock->tx_paused; i++) {
        if (vsock->refusal_count == VSOCK_MAX_REFUSALS) {
            vsock->tx_paused = true;
            break;
        }
        if (virtqueue_pop(tx, chain) <= 0)
            break;
        receive_packet(vsock, chain);
        virtqueue_push(tx, chain->head, 0);
    }
    if (taken_untold(tx) >= tx->size / 4)
        virtqueue_notify(tx);
    else
        tell_taken_later(vsock);
    if (vsock->tx_paused)
        virtqueue_enable_kicks(tx, false);
    else
        virtqueue_await_kick(tx);
}

static void send_reset_event(struct vsock_device *vsock)
{
    if (vsock->reset_event_due && vsock_event_reset(&vsock->dev.queue[VSOCK_QUEUE_EVENT]))
        vsock->reset_event_due = false;
}

/* Ends everything that the driver knew of. */
static void forget_streams(struct vsock_device *vsock)
{
    struct vsock_conn *conn, *next;

    for (conn = TAILQ_FIRST(&vsock->conns); conn != NULL; conn = next) {
        next = TAILQ_NEXT(conn, all);
        vsock_conn_abandon(conn);
    }
    vsock->refusal_count = 0;
}

static void vsock_restored(struct virtio_device *dev)
{
    struct vsock_device *vsock = vsock_of(dev);

    forget_streams(vsock);
    vsock->reset_event_due = dev->started && dev->queue[VSOCK_QUEUE_EVENT].running;
    send_reset_event(vsock);
    vsock_pump(vsock);
    vsock_conn_reap(vsock);
}

static void vsock_config_read(struct virtio_device *dev, uint32_t offset, void *buf, uint32_t size)
{
    const struct virtio_vsock_config config = {.guest_cid = htole64(vsock_of(dev)->guest_cid)};

    virtio_config_copy(&config, sizeof(config), offset, buf, size);
}

static int vsock_start(struct virtio_device *dev)
{
    /* Without these two there is nothing to be done. */
    if (!dev->queue[VSOCK_QUEUE_RX].running || !dev->queue[VSOCK_QUEUE_TX].running)
        return -EINVAL;
    return 0;
}

static void vsock_stop(struct virtio_device *dev)
{
    struct vsock_device *vsock = vsock_of(dev);

    event_timer_set(vsock->resume_timer, -1);
    event_timer_set(vsock->tell_timer, -1);
    vsock->is_telling = false;
    /* Whoever goes on with the rings knows of no interrupt that is owed. */
    virtqueue_notify(&dev->queue[VSOCK_QUEUE_TX]);
    if (dev->is_suspended)
        return;
    forget_streams(vsock);
    vsock_host_stop(vsock);
    vsock->tx_paused = false;
    vsock->reset_event_due = false;
    vsock_conn_reap(vsock);
}

static void vsock_kick(struct virtio_device *dev, unsigned int index)
{
    struct vsock_device *vsock = vsock_of(dev);

    if (index == VSOCK_QUEUE_TX)
        receive_packets(vsock);
    else if (index == VSOCK_QUEUE_EVENT)
        send_reset_event(vsock);
    vsock_pump(vsock);
    vsock_conn_reap(vsock);
}

static const struct virtio_device_ops vsock_ops = {
    .device_id = VIRTIO_ID_VSOCK,
    .name = "vsock",
    .has_one_vector = true,
    .config_read = vsock_config_read,
    .start = vsock_start,
    .stop = vsock_stop,
    .kick = vsock_kick,
    .restored = vsock_restored,
};

void vsock_arm_deadline(struct vsock_device *vsock)
{
    const struct vsock_conn *first = TAILQ_FIRST(&vsock->waiting);
    int64_t now = deadline_now();
    int64_t next = vsock_host_next(vsock);

    if (first != NULL && (next == 0 || first->deadline < next))
        next = first->deadline;
    if (next == 0)
        event_timer_set(vsock->deadline_timer, -1);
    else
        event_timer_set(vsock->deadline_timer, next > now ? next - now : 0);
}

static void on_deadline(void *opaque)
{
    struct vsock_device *vsock = opaque;
    int64_t now = deadline_now();

    vsock_host_expire(vsock, now);
    vsock_conn_expire(vsock, now);
    vsock_arm_deadline(vsock);
    vsock_pump(vsock);
    vsock_conn_reap(vsock);
}

static int set_up(struct vsock_device *vsock, const struct vsock_config *config,
                  struct crosh_error *err)
{
    vsock->resume_timer = event_timer_add(vsock->dev.loop, on_resume, vsock);
    vsock->tell_timer = event_timer_add(vsock->dev.loop, on_tell, vsock);
    vsock->deadline_timer = event_timer_add(vsock->dev.loop, on_deadline, vsock);
    if (vsock->resume_timer == NULL || vsock->tell_timer == NULL || vsock->deadline_timer == NULL)
        return crosh_error_errno(err, "vsock timers");
    return vsock_host_init(vsock, config->socket_path, err);
}

struct virtio_device *vsock_new(struct event_loop *loop, const struct vsock_config *config,
                                struct crosh_error *err)
{
    struct vsock_device *vsock;

    if (config->guest_cid <= VSOCK_HOST_CID || config->guest_cid >= UINT32_MAX) {
        crosh_error_set(err, -EINVAL, "vsock: the guest's CID must lie between 3 and 2^32-2");
        return NULL;
    }
    vsock = calloc(1, sizeof(*vsock));
    if (vsock == NULL) {
        crosh_error_errno(err, "vsock");
        return NULL;
    }
    virtio_device_init(&vsock->dev, &vsock_ops, loop, VSOCK_QUEUE_COUNT);
    for (unsigned int i = 0; i < VSOCK_QUEUE_COUNT; i++)
        vsock->dev.queue[i].size_max = QUEUE_SIZE;
    vsock->guest_cid = config->guest_cid;
    vsock->max_connections =
        config->max_connections != 0 ? config->max_connections : VSOCK_DEFAULT_CONNECTIONS;
    vsock->buffer_bytes = config->buffer_bytes != 0 ? config->buffer_bytes : VSOCK_DEFAULT_BUFFER;
    vsock->deadline_ms = config->deadline_ms != 0 ? config->deadline_ms : VSOCK_DEFAULT_DEADLINE_MS;
    vsock->listen_fd = -1;
    TAILQ_INIT(&vsock->conns);
    TAILQ_INIT(&vsock->ready);
    TAILQ_INIT(&vsock->waiting);
    TAILQ_INIT(&vsock->dead);
    TAILQ_INIT(&vsock->clients);
    if (set_up(vsock, config, err) < 0) {
        vsock_free(&vsock->dev);
        return NULL;
    }
    return &vsock->dev;
}

void vsock_free(struct virtio_device *dev)
{
    struct vsock_device *vsock;
    struct vsock_conn *conn;

    if (dev == NULL)
        return;
    vsock = vsock_of(dev);
    virtio_device_stop(dev);
    while ((conn = TAILQ_FIRST(&vsock->conns)) != NULL)
        vsock_conn_close(conn);
    vsock_conn_reap(vsock);
    vsock_host_fini(vsock);
    event_remove(vsock->resume_timer);
    event_remove(vsock->tell_timer);
    event_remove(vsock->deadline_timer);
    free(vsock);
}

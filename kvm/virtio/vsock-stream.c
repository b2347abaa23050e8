/* SPDX-License-Identifier: MIT */
/* The state machine of one vsock stream (virtio 1.2 sections 5.10.6.3 to 5.10.6.6). */

/*
 * Theory of operation
 *
 * A stream knows packets, not sockets or queues. Packets of the guest go in
 * through vsock_stream_receive(), which answers with what its owner has to do;
 * packets to the guest are not queued but owed, one bit for each kind, and made
 * when there is room for them. So a stream whose guest takes nothing costs
 * nothing, however much it is made to answer.
 *
 * Credit (section 5.10.6.3): each side tells in every packet how large its buffer
 * is (buf_alloc) and how many bytes have left it (fwd_cnt), and sends no more than
 * what that leaves free. A guest that does not keep to it is not corrected but cut
 * off. The one thing forgiven is a fwd_cnt that goes backwards: Linux may queue two
 * packets of one socket in the other order than it wrote their headers.
 */
#include "kvm/virtio/vsock-stream.h"

/* No guest means it when it offers more; it keeps all differences of counters signed. */
#define PEER_BUF_ALLOC_MAX (1u << 30)

#define OWED(op) (1u << VIRTIO_VSOCK_OP_##op)

void vsock_stream_init_host(struct vsock_stream *stream, uint64_t guest_cid, uint32_t guest_port,
                            uint32_t host_port, uint32_t buf_alloc)
{
    *stream = (struct vsock_stream){
        .state = VSOCK_STREAM_REQUESTED,
        .guest_cid = guest_cid,
        .guest_port = guest_port,
        .host_port = host_port,
        .buf_alloc = buf_alloc,
        .owed = OWED(REQUEST),
    };
}

static bool take_credit(struct vsock_stream *stream, const struct vsock_packet *packet)
{
    stream->peer_buf_alloc =
        packet->buf_alloc < PEER_BUF_ALLOC_MAX ? packet->buf_alloc : PEER_BUF_ALLOC_MAX;
    /* It cannot have consumed what it was never sent. */
    if ((int32_t)(packet->fwd_cnt - stream->tx_cnt) > 0)
        return false;
    if ((int32_t)(packet->fwd_cnt - stream->peer_fwd_cnt) > 0)
        stream->peer_fwd_cnt = packet->fwd_cnt;
    return true;
}

void vsock_stream_init_guest(struct vsock_stream *stream, const struct vsock_packet *request,
                             uint32_t buf_alloc)
{
    *stream = (struct vsock_stream){
        .state = VSOCK_STREAM_ACCEPTING,
        .guest_cid = request->src_cid,
        .guest_port = request->src_port,
        .host_port = request->dst_port,
        .buf_alloc = buf_alloc,
    };
    (void)take_credit(stream, request);
}

void vsock_stream_accept(struct vsock_stream *stream)
{
    stream->state = VSOCK_STREAM_OPEN;
    stream->owed = OWED(RESPONSE);
}

void vsock_stream_reset(struct vsock_stream *stream)
{
    if (stream->state == VSOCK_STREAM_CLOSED)
        return;
    stream->state = VSOCK_STREAM_CLOSED;
    /* A guest that was not asked yet needs no answer. */
    stream->owed = (stream->owed & OWED(REQUEST)) != 0 ? 0 : OWED(RST);
}

void vsock_stream_drop(struct vsock_stream *stream)
{
    stream->state = VSOCK_STREAM_CLOSED;
    stream->owed = 0;
}

/* Section 5.10.6.6: whoever was told of both directions' end answers with RST, once it has
   passed on what it was sent before. */
static void answer_full_shutdown(struct vsock_stream *stream)
{
    if (stream->state == VSOCK_STREAM_OPEN && stream->guest_shut == VSOCK_SHUT_BOTH &&
        stream->fwd_cnt == stream->rx_cnt)
        vsock_stream_reset(stream);
}

static unsigned int receive_data(struct vsock_stream *stream, const struct vsock_packet *packet)
{
    uint32_t used = stream->rx_cnt - stream->fwd_cnt;

    if ((stream->guest_shut & VSOCK_SHUT_SEND) != 0 || packet->len > stream->buf_alloc - used) {
        vsock_stream_reset(stream);
        return VSOCK_DO_CLOSED;
    }
    stream->rx_cnt += packet->len;
    return packet->len > 0 ? VSOCK_DO_DATA : 0;
}

static unsigned int receive_shutdown(struct vsock_stream *stream, const struct vsock_packet *packet)
{
    uint32_t before = stream->guest_shut;

    stream->guest_shut |= packet->flags & VSOCK_SHUT_BOTH;
    answer_full_shutdown(stream);
    return (stream->guest_shut != before ? VSOCK_DO_GUEST_SHUT : 0u) |
           (stream->state == VSOCK_STREAM_CLOSED ? VSOCK_DO_CLOSED : 0u);
}

/* Operations that only an open stream knows. */
static unsigned int receive_open(struct vsock_stream *stream, const struct vsock_packet *packet)
{
    switch (packet->op) {
    case VIRTIO_VSOCK_OP_RW:
        return receive_data(stream, packet);
    case VIRTIO_VSOCK_OP_SHUTDOWN:
        return receive_shutdown(stream, packet);
    case VIRTIO_VSOCK_OP_CREDIT_UPDATE:
        return 0;
    case VIRTIO_VSOCK_OP_CREDIT_REQUEST:
        stream->owed |= OWED(CREDIT_UPDATE);
        return 0;
    default:
        vsock_stream_reset(stream);
        return VSOCK_DO_CLOSED;
    }
}

unsigned int vsock_stream_receive(struct vsock_stream *stream, const struct vsock_packet *packet)
{
    uint32_t credit = vsock_stream_credit(stream);
    unsigned int todo;

    /* What is under way while our RST is owed, or lingers in the guest's queue. */
    if (stream->state == VSOCK_STREAM_CLOSED) {
        if (packet->op == VIRTIO_VSOCK_OP_RST)
            vsock_stream_drop(stream);
        return 0;
    }
    if (packet->op == VIRTIO_VSOCK_OP_RST) {
        vsock_stream_drop(stream);
        return VSOCK_DO_CLOSED;
    }
    if (!take_credit(stream, packet)) {
        vsock_stream_reset(stream);
        return VSOCK_DO_CLOSED;
    }
    if (stream->state == VSOCK_STREAM_OPEN) {
        todo = receive_open(stream, packet);
    } else if (stream->state == VSOCK_STREAM_REQUESTED && packet->op == VIRTIO_VSOCK_OP_RESPONSE &&
               (stream->owed & OWED(REQUEST)) == 0) {
        stream->state = VSOCK_STREAM_OPEN;
        todo = VSOCK_DO_OPENED;
    } else {
        vsock_stream_reset(stream);
        return VSOCK_DO_CLOSED;
    }
    if (vsock_stream_credit(stream) > credit) {
        stream->credit_asked = false;
        stream->owed &= ~OWED(CREDIT_REQUEST);
        todo |= VSOCK_DO_MORE_CREDIT;
    }
    return todo;
}

void vsock_stream_forwarded(struct vsock_stream *stream, uint32_t size)
{
    stream->fwd_cnt += size;
    if (stream->state != VSOCK_STREAM_OPEN)
        return;
    /* Often enough that the guest never runs dry, seldom enough to cost little. */
    if (stream->fwd_cnt - stream->fwd_cnt_told >= stream->buf_alloc / 4 * 3 &&
        (stream->guest_shut & VSOCK_SHUT_SEND) == 0)
        stream->owed |= OWED(CREDIT_UPDATE);
    answer_full_shutdown(stream);
}

uint32_t vsock_stream_credit(const struct vsock_stream *stream)
{
    uint32_t in_flight = stream->tx_cnt - stream->peer_fwd_cnt;

    if (stream->state != VSOCK_STREAM_OPEN || (stream->guest_shut & VSOCK_SHUT_RECEIVE) != 0)
        return 0;
    /* A guest may make its buffer smaller than what is in it. */
    return in_flight < stream->peer_buf_alloc ? stream->peer_buf_alloc - in_flight : 0;
}

void vsock_stream_starved(struct vsock_stream *stream)
{
    if (stream->state != VSOCK_STREAM_OPEN || stream->credit_asked ||
        (stream->guest_shut & VSOCK_SHUT_RECEIVE) != 0)
        return;
    stream->credit_asked = true;
    stream->owed |= OWED(CREDIT_REQUEST);
}

void vsock_stream_host_shut(struct vsock_stream *stream, uint32_t flags)
{
    stream->host_shut |= flags;
    if (stream->state == VSOCK_STREAM_OPEN && stream->host_shut != stream->host_shut_told)
        stream->owed |= OWED(SHUTDOWN);
}

static void fill_packet(struct vsock_stream *stream, uint16_t op, struct vsock_packet *packet)
{
    *packet = (struct vsock_packet){
        .src_cid = VSOCK_HOST_CID,
        .dst_cid = stream->guest_cid,
        .src_port = stream->host_port,
        .dst_port = stream->guest_port,
        .type = VIRTIO_VSOCK_TYPE_STREAM,
        .op = op,
        .buf_alloc = stream->buf_alloc,
        .fwd_cnt = stream->fwd_cnt,
    };
    /* Every packet tells the guest what a CREDIT_UPDATE would. */
    stream->fwd_cnt_told = stream->fwd_cnt;
    stream->owed &= ~(1u << op | OWED(CREDIT_UPDATE));
}

bool vsock_stream_next_control(struct vsock_stream *stream, struct vsock_packet *packet)
{
    /* In the order in which they make sense to the guest. */
    static const uint16_t order[] = {
        VIRTIO_VSOCK_OP_REQUEST,  VIRTIO_VSOCK_OP_RESPONSE, VIRTIO_VSOCK_OP_CREDIT_REQUEST,
        VIRTIO_VSOCK_OP_SHUTDOWN, VIRTIO_VSOCK_OP_RST,      VIRTIO_VSOCK_OP_CREDIT_UPDATE,
    };

    for (unsigned int i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
        if ((stream->owed & 1u << order[i]) == 0)
            continue;
        fill_packet(stream, order[i], packet);
        if (order[i] == VIRTIO_VSOCK_OP_SHUTDOWN) {
            packet->flags = stream->host_shut;
            stream->host_shut_told = stream->host_shut;
        }
        return true;
    }
    return false;
}

void vsock_stream_next_data(struct vsock_stream *stream, uint32_t len, struct vsock_packet *packet)
{
    fill_packet(stream, VIRTIO_VSOCK_OP_RW, packet);
    packet->len = len;
    stream->tx_cnt += len;
}

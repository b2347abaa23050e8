/* SPDX-License-Identifier: MIT */
/* One vsock stream as the protocol sees it: its state, its credit, what it owes the guest. */
#ifndef KVM_VIRTIO_VSOCK_STREAM_H
#define KVM_VIRTIO_VSOCK_STREAM_H

#include <stdbool.h>
#include <stdint.h>

#include "kvm/virtio/vsock-packet.h"

enum vsock_stream_state {
    VSOCK_STREAM_REQUESTED, /* opened by the host: the guest has not answered */
    VSOCK_STREAM_ACCEPTING, /* opened by the guest: the host has not answered */
    VSOCK_STREAM_OPEN,
    VSOCK_STREAM_CLOSED, /* over; a RST may still be owed */
};

struct vsock_stream {
    enum vsock_stream_state state;
    uint64_t guest_cid;
    uint32_t guest_port, host_port;

    /* From the guest. All counters run through 2^32. */
    uint32_t buf_alloc;    /* how much we keep for it */
    uint32_t rx_cnt;       /* payload bytes received */
    uint32_t fwd_cnt;      /* of these, passed on to the host: their space is free again */
    uint32_t fwd_cnt_told; /* fwd_cnt as the guest knows it */

    /* To the guest. */
    uint32_t tx_cnt; /* payload bytes sent */
    uint32_t peer_buf_alloc;
    uint32_t peer_fwd_cnt;

    uint32_t guest_shut;     /* VSOCK_SHUT_*: what the guest said it will no longer do */
    uint32_t host_shut;      /* the same of the host */
    uint32_t host_shut_told; /* as the guest knows it */
    uint32_t owed;           /* 1 << VIRTIO_VSOCK_OP_*: packets to be sent */
    bool credit_asked;       /* since the credit last grew */
};

/* What the owner of a stream has to do after a packet; a set. */
enum {
    VSOCK_DO_OPENED = 1 << 0,      /* the guest accepted the connection */
    VSOCK_DO_DATA = 1 << 1,        /* take the payload, and say so with vsock_stream_forwarded() */
    VSOCK_DO_MORE_CREDIT = 1 << 2, /* try to send again */
    VSOCK_DO_GUEST_SHUT = 1 << 3,  /* guest_shut grew */
    VSOCK_DO_CLOSED = 1 << 4,      /* the state is CLOSED now */
};

/* A stream that the host opens: owes the guest a REQUEST. */
void vsock_stream_init_host(struct vsock_stream *stream, uint64_t guest_cid, uint32_t guest_port,
                            uint32_t host_port, uint32_t buf_alloc);
/* A stream that the guest asks for; followed by vsock_stream_accept() or _reset(). */
void vsock_stream_init_guest(struct vsock_stream *stream, const struct vsock_packet *request,
                             uint32_t buf_alloc);
void vsock_stream_accept(struct vsock_stream *stream);
/* Ends the stream from our side: owes the guest a RST if it knows of the stream. */
void vsock_stream_reset(struct vsock_stream *stream);
/* Ends the stream without a word: the guest is gone or has ended it. */
void vsock_stream_drop(struct vsock_stream *stream);

/* A packet of the guest on this stream. Returns VSOCK_DO_*. */
unsigned int vsock_stream_receive(struct vsock_stream *stream, const struct vsock_packet *packet);
/* size bytes of payload have left our buffer, or were thrown away. */
void vsock_stream_forwarded(struct vsock_stream *stream, uint32_t size);

/* Bytes that may be sent to the guest now. */
uint32_t vsock_stream_credit(const struct vsock_stream *stream);
/* There is data but no credit: owes the guest a CREDIT_REQUEST, once. */
void vsock_stream_starved(struct vsock_stream *stream);
/* The host sends (VSOCK_SHUT_SEND), receives (VSOCK_SHUT_RECEIVE) no more. */
void vsock_stream_host_shut(struct vsock_stream *stream, uint32_t flags);

/* Whether a control packet is owed. */
static inline bool vsock_stream_owes(const struct vsock_stream *stream)
{
    return stream->owed != 0;
}
/* Fills the next control packet that is owed; false when there is none. */
bool vsock_stream_next_control(struct vsock_stream *stream, struct vsock_packet *packet);
/* Fills the header of a packet with len bytes of payload, len <= credit. */
void vsock_stream_next_data(struct vsock_stream *stream, uint32_t len, struct vsock_packet *packet);

/* Nothing more will ever pass between the stream and the guest. */
static inline bool vsock_stream_is_over(const struct vsock_stream *stream)
{
    return stream->state == VSOCK_STREAM_CLOSED && stream->owed == 0;
}

#endif

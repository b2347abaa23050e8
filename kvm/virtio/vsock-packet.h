/* SPDX-License-Identifier: MIT */
/* The header of virtio-vsock packets (virtio 1.2 section 5.10.6), in the host's byte order. */
#ifndef KVM_VIRTIO_VSOCK_PACKET_H
#define KVM_VIRTIO_VSOCK_PACKET_H

#include <endian.h>
#include <stddef.h>
#include <stdint.h>

#include <linux/virtio_vsock.h>

#define VSOCK_HEADER_BYTES sizeof(struct virtio_vsock_hdr)
#define VSOCK_HOST_CID     2u

/* Section 5.10.6.5, flags of VIRTIO_VSOCK_OP_SHUTDOWN. */
#define VSOCK_SHUT_RECEIVE 1u
#define VSOCK_SHUT_SEND    2u
#define VSOCK_SHUT_BOTH    3u

struct vsock_packet {
    uint64_t src_cid, dst_cid;
    uint32_t src_port, dst_port;
    uint32_t len;
    uint16_t type, op;
    uint32_t flags;
    uint32_t buf_alloc, fwd_cnt;
};

static inline struct vsock_packet vsock_packet_decode(const struct virtio_vsock_hdr *hdr)
{
    return (struct vsock_packet){
        .src_cid = le64toh(hdr->src_cid),
        .dst_cid = le64toh(hdr->dst_cid),
        .src_port = le32toh(hdr->src_port),
        .dst_port = le32toh(hdr->dst_port),
        .len = le32toh(hdr->len),
        .type = le16toh(hdr->type),
        .op = le16toh(hdr->op),
        .flags = le32toh(hdr->flags),
        .buf_alloc = le32toh(hdr->buf_alloc),
        .fwd_cnt = le32toh(hdr->fwd_cnt),
    };
}

static inline struct virtio_vsock_hdr vsock_packet_encode(const struct vsock_packet *packet)
{
    return (struct virtio_vsock_hdr){
        .src_cid = htole64(packet->src_cid),
        .dst_cid = htole64(packet->dst_cid),
        .src_port = htole32(packet->src_port),
        .dst_port = htole32(packet->dst_port),
        .len = htole32(packet->len),
        .type = htole16(packet->type),
        .op = htole16(packet->op),
        .flags = htole32(packet->flags),
        .buf_alloc = htole32(packet->buf_alloc),
        .fwd_cnt = htole32(packet->fwd_cnt),
    };
}

/* The refusal of packet, as its sender must see it. */
static inline struct vsock_packet vsock_packet_refusal(const struct vsock_packet *packet)
{
    return (struct vsock_packet){
        .src_cid = packet->dst_cid,
        .dst_cid = packet->src_cid,
        .src_port = packet->dst_port,
        .dst_port = packet->src_port,
        .type = packet->type,
        .op = VIRTIO_VSOCK_OP_RST,
    };
}

#endif

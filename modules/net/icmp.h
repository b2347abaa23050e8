/* SPDX-License-Identifier: MIT */
/* ICMP echo messages (RFC 792, RFC 4443 section 4): built and read, in memory. */
#ifndef MODULES_NET_ICMP_H
#define MODULES_NET_ICMP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ICMP_HEADER_SIZE  8u
#define ICMP_PAYLOAD_MAX  65507u /* what one IPv4 packet holds */
#define ICMP_MESSAGE_SIZE (ICMP_HEADER_SIZE + ICMP_PAYLOAD_MAX)

/* An echo reply as read. */
struct icmp_reply {
    uint16_t id, sequence;
    size_t size;  /* bytes of the message: header and payload */
    bool damaged; /* the payload is not what icmp_build() put there */
};

/*
 * Writes an echo request of payload bytes (at most ICMP_PAYLOAD_MAX) into message, which
 * holds ICMP_HEADER_SIZE more. The checksum is filled in for IPv4; for IPv6 the kernel
 * does it. Returns the size.
 */
size_t icmp_build(uint8_t *message, bool is_ipv6, uint16_t id, uint16_t sequence, size_t payload);

/*
 * Reads what a socket received: for IPv4 raw sockets (has_ip_header) the IP header comes
 * first. False when it is no echo reply, is cut short, or its checksum (IPv4) is wrong.
 */
bool icmp_parse(const uint8_t *data, size_t size, bool is_ipv6, bool has_ip_header,
                struct icmp_reply *reply);

/* An ICMP error's meaning as people know it, "Destination Host Unreachable"; for an unknown one
   "ICMP type N code N" in buf, which it returns. */
const char *icmp_error_text(bool is_ipv6, uint8_t type, uint8_t code, char *buf, size_t size);

#endif

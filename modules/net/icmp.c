/* SPDX-License-Identifier: MIT */
/* Implements ICMP echo messages. */
#include "modules/net/icmp.h"

#include <netinet/icmp6.h>
#include <netinet/ip_icmp.h>
#include <stdio.h>
#include <string.h>

enum {
    IP_HEADER_MIN = 20,
    TYPE = 0,
    CODE = 1,
    CHECKSUM = 2,
    ID = 4,
    SEQUENCE = 6,
};

static uint16_t get16(const uint8_t *at)
{
    return (uint16_t)(at[0] << 8 | at[1]);
}

static void put16(uint8_t *at, uint16_t value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

/* The Internet checksum (RFC 1071); over a message with a right one in it, 0. */
static uint16_t checksum(const uint8_t *data, size_t size)
{
    uint32_t sum = 0;

    for (size_t i = 0; i + 1 < size; i += 2)
        sum += get16(data + i);
    if (size % 2 != 0)
        sum += (uint32_t)data[size - 1] << 8;
    while (sum >> 16 != 0)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)~sum;
}

/* A pattern in which a shifted or repeated byte shows. */
static uint8_t pattern(size_t index)
{
    return (uint8_t)(index + (index >> 8));
}

size_t icmp_build(uint8_t *message, bool is_ipv6, uint16_t id, uint16_t sequence, size_t payload)
{
    size_t size = ICMP_HEADER_SIZE + payload;

    memset(message, 0, ICMP_HEADER_SIZE);
    message[TYPE] = is_ipv6 ? ICMP6_ECHO_REQUEST : ICMP_ECHO;
    put16(message + ID, id);
    put16(message + SEQUENCE, sequence);
    for (size_t i = 0; i < payload; i++)
        message[ICMP_HEADER_SIZE + i] = pattern(i);
    if (!is_ipv6)
        put16(message + CHECKSUM, checksum(message, size));
    return size;
}

bool icmp_parse(const uint8_t *data, size_t size, bool is_ipv6, bool has_ip_header,
                struct icmp_reply *reply)
{
    if (has_ip_header) {
        size_t header = size >= IP_HEADER_MIN ? (size_t)(data[0] & 0x0f) * 4 : 0;

        if (header < IP_HEADER_MIN || header > size)
            return false;
        data += header;
        size -= header;
    }
    if (size < ICMP_HEADER_SIZE || data[CODE] != 0 ||
        data[TYPE] != (is_ipv6 ? ICMP6_ECHO_REPLY : ICMP_ECHOREPLY))
        return false;
    if (!is_ipv6 && checksum(data, size) != 0)
        return false;
    *reply = (struct icmp_reply){
        .id = get16(data + ID), .sequence = get16(data + SEQUENCE), .size = size};
    for (size_t i = ICMP_HEADER_SIZE; i < size && !reply->damaged; i++)
        reply->damaged = data[i] != pattern(i - ICMP_HEADER_SIZE);
    return true;
}

struct meaning {
    uint8_t type, code;
    const char *text;
};

static const struct meaning ipv4_meanings[] = {
    {ICMP_DEST_UNREACH, ICMP_NET_UNREACH, "Destination Net Unreachable"},
    {ICMP_DEST_UNREACH, ICMP_HOST_UNREACH, "Destination Host Unreachable"},
    {ICMP_DEST_UNREACH, ICMP_PROT_UNREACH, "Destination Protocol Unreachable"},
    {ICMP_DEST_UNREACH, ICMP_PORT_UNREACH, "Destination Port Unreachable"},
    {ICMP_DEST_UNREACH, ICMP_FRAG_NEEDED, "Frag needed and DF set"},
    {ICMP_DEST_UNREACH, ICMP_NET_ANO, "Destination Net Prohibited"},
    {ICMP_DEST_UNREACH, ICMP_HOST_ANO, "Destination Host Prohibited"},
    {ICMP_DEST_UNREACH, ICMP_PKT_FILTERED, "Packet filtered"},
    {ICMP_TIME_EXCEEDED, ICMP_EXC_TTL, "Time to live exceeded"},
    {ICMP_TIME_EXCEEDED, ICMP_EXC_FRAGTIME, "Frag reassembly time exceeded"},
};

static const struct meaning ipv6_meanings[] = {
    {ICMP6_DST_UNREACH, ICMP6_DST_UNREACH_NOROUTE, "Destination unreachable: No route"},
    {ICMP6_DST_UNREACH, ICMP6_DST_UNREACH_ADMIN,
     "Destination unreachable: Administratively "
     "prohibited"},
    {ICMP6_DST_UNREACH, ICMP6_DST_UNREACH_ADDR, "Destination unreachable: Address unreachable"},
    {ICMP6_DST_UNREACH, ICMP6_DST_UNREACH_NOPORT, "Destination unreachable: Port unreachable"},
    {ICMP6_PACKET_TOO_BIG, 0, "Packet too big"},
    {ICMP6_TIME_EXCEEDED, ICMP6_TIME_EXCEED_TRANSIT, "Time exceeded: Hop limit"},
};

const char *icmp_error_text(bool is_ipv6, uint8_t type, uint8_t code, char *buf, size_t size)
{
    const struct meaning *table = is_ipv6 ? ipv6_meanings : ipv4_meanings;
    size_t count =
        is_ipv6 ? sizeof(ipv6_meanings) / sizeof(*table) : sizeof(ipv4_meanings) / sizeof(*table);

    for (size_t i = 0; i < count; i++)
        if (table[i].type == type && table[i].code == code)
            return table[i].text;
    (void)snprintf(buf, size, "ICMP type %u code %u", type, code);
    return buf;
}

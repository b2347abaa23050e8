/* SPDX-License-Identifier: MIT */
/* Implements the reading and writing of DNS messages. */
#include "net/dns-message.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEADER_SIZE    12u
#define LABEL_MAX      63u
#define WIRE_NAME_MAX  255u
#define CLASS_IN       1u
#define TTL_SECONDS    5u
#define POINTERS_MAX   16u /* that one name may follow */
#define RECORDS_MAX    64u /* of an answer that are looked at */
#define FLAG_RESPONSE  0x80
#define FLAG_RECURSION 0x01

static uint16_t get16(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}

static void put16(uint8_t *p, unsigned int value)
{
    p[0] = (uint8_t)(value >> 8);
    p[1] = (uint8_t)value;
}

/*
 * Reads a name at offset as text into name (DNS_NAME_MAX bytes; NULL: only skips it). The offset
 * behind it, or 0 when it is broken.
 */
static size_t read_name(const uint8_t *message, size_t size, size_t offset, char *name)
{
    size_t end = 0; /* behind the name where it stands, once a pointer led away */
    size_t used = 0;
    unsigned int pointers = 0;

    for (;;) {
        unsigned int length;

        if (offset >= size)
            return 0;
        length = message[offset++];
        if (length == 0)
            break;
        if ((length & 0xc0) == 0xc0) {
            if (offset >= size || ++pointers > POINTERS_MAX)
                return 0;
            if (end == 0)
                end = offset + 1;
            offset = (length & 0x3f) << 8 | message[offset];
            continue;
        }
        if (length > LABEL_MAX || length > size - offset || used + length + 1 >= WIRE_NAME_MAX)
            return 0;
        for (unsigned int i = 0; name != NULL && i < length; i++) {
            uint8_t byte = message[offset + i];

            if (byte >= 'A' && byte <= 'Z')
                byte = (uint8_t)(byte - 'A' + 'a');
            name[used + i] = byte > ' ' && byte < 0x7f && byte != '.' ? (char)byte : '?';
        }
        used += length;
        if (name != NULL)
            name[used] = '.';
        used++;
        offset += length;
    }
    if (name != NULL)
        name[used > 0 ? used - 1 : 0] = '\0';
    return end != 0 ? end : offset;
}

/* Writes a name; its size, 0 when it does not fit or is none. */
static size_t write_name(uint8_t *out, size_t room, const char *name)
{
    size_t used = 0;

    while (*name != '\0') {
        size_t length = strcspn(name, ".");

        if (length == 0 || length > LABEL_MAX || used + length + 2 > room ||
            used + length + 2 > WIRE_NAME_MAX)
            return 0;
        out[used++] = (uint8_t)length;
        memcpy(out + used, name, length);
        used += length;
        name += length;
        if (*name == '.')
            name++;
    }
    if (room < used + 1)
        return 0;
    out[used++] = 0;
    return used;
}

bool dns_read_query(const uint8_t *message, size_t size, struct dns_question *question)
{
    size_t offset;

    if (size < HEADER_SIZE || (message[2] & (FLAG_RESPONSE | 0x78)) != 0 || get16(message + 4) != 1)
        return false;
    offset = read_name(message, size, HEADER_SIZE, question->name);
    if (offset == 0 || size - offset < 4)
        return false;
    question->id = get16(message);
    question->type = get16(message + offset);
    question->class = get16(message + offset + 2);
    question->size = offset + 4;
    /* What is repeated in the answer must stand by itself there, and fit. */
    return question->size <= HEADER_SIZE + WIRE_NAME_MAX + 4;
}

size_t dns_write_query(uint8_t message[DNS_UDP_PLAIN], uint16_t id, const char *name, uint16_t type)
{
    size_t size;

    memset(message, 0, HEADER_SIZE);
    put16(message, id);
    message[2] = FLAG_RECURSION;
    put16(message + 4, 1);
    size = write_name(message + HEADER_SIZE, DNS_UDP_PLAIN - HEADER_SIZE - 4, name);
    if (size == 0)
        return 0;
    put16(message + HEADER_SIZE + size, type);
    put16(message + HEADER_SIZE + size + 2, CLASS_IN);
    return HEADER_SIZE + size + 4;
}

/* One record about the name that was asked for. Its size, 0 when it does not fit. */
static size_t write_record(uint8_t *out, size_t room, uint16_t type, const void *data, size_t size)
{
    if (room < 12 + size)
        return 0;
    put16(out, 0xc000u | HEADER_SIZE);
    put16(out + 2, type);
    put16(out + 4, CLASS_IN);
    put16(out + 6, 0);
    put16(out + 8, TTL_SECONDS);
    put16(out + 10, (unsigned int)size);
    memcpy(out + 12, data, size);
    return 12 + size;
}

size_t dns_write_answer(uint8_t *answer, const uint8_t *query, const struct dns_question *question,
                        int rcode, const struct plan_prefix *addresses, size_t count,
                        const char *name)
{
    size_t used = question->size;
    unsigned int records = 0;

    memcpy(answer, query, question->size);
    answer[2] = (uint8_t)(FLAG_RESPONSE | 0x04 | (query[2] & FLAG_RECURSION));
    answer[3] = (uint8_t)(0x80 | rcode);
    for (size_t i = 0; i < count; i++) {
        bool is_ipv6 = addresses[i].family == AF_INET6;
        uint16_t type = is_ipv6 ? DNS_TYPE_AAAA : DNS_TYPE_A;
        size_t size;

        if (question->type != type && question->type != DNS_TYPE_ANY)
            continue;
        size = write_record(answer + used, DNS_UDP_PLAIN - used, type, &addresses[i].ipv6,
                            is_ipv6 ? 16 : 4);
        used += size;
        records += size > 0;
    }
    if (name != NULL) {
        uint8_t wire[WIRE_NAME_MAX];
        size_t size = write_name(wire, sizeof(wire), name);

        size = size > 0
                   ? write_record(answer + used, DNS_UDP_PLAIN - used, DNS_TYPE_PTR, wire, size)
                   : 0;
        used += size;
        records += size > 0;
    }
    put16(answer + 6, records);
    put16(answer + 8, 0);
    put16(answer + 10, 0);
    return used;
}

int dns_read_addresses(const uint8_t *message, size_t size, uint16_t id,
                       struct plan_prefix *addresses, size_t max)
{
    size_t offset = HEADER_SIZE;
    unsigned int questions, records;
    int count = 0;

    if (size < HEADER_SIZE || get16(message) != id || (message[2] & FLAG_RESPONSE) == 0 ||
        (message[3] & 0x0f) != DNS_NOERROR)
        return -1;
    questions = get16(message + 4);
    records = get16(message + 6);
    if (questions > 1)
        return -1;
    if (questions == 1) {
        offset = read_name(message, size, offset, NULL);
        if (offset == 0 || size - offset < 4)
            return -1;
        offset += 4;
    }
    for (unsigned int i = 0; i < records && i < RECORDS_MAX; i++) {
        unsigned int type, length;

        offset = read_name(message, size, offset, NULL);
        if (offset == 0 || size - offset < 10)
            return -1;
        type = get16(message + offset);
        length = get16(message + offset + 8);
        offset += 10;
        if (length > size - offset)
            return -1;
        if (((type == DNS_TYPE_A && length == 4) || (type == DNS_TYPE_AAAA && length == 16)) &&
            (size_t)count < max) {
            addresses[count] = (struct plan_prefix){
                .family = type == DNS_TYPE_A ? AF_INET : AF_INET6, .bits = length * 8};
            memcpy(&addresses[count++].ipv6, message + offset, length);
        }
        offset += length;
    }
    return count;
}

static bool reverse6(const char *name, struct plan_prefix *address)
{
    *address = (struct plan_prefix){.family = AF_INET6, .bits = 128};
    for (int i = 31; i >= 0; i--, name += 2) {
        const char *digits = "0123456789abcdef";
        const char *digit = *name != '\0' ? strchr(digits, *name) : NULL;

        if (digit == NULL || name[1] != '.')
            return false;
        address->ipv6.s6_addr[i / 2] |= (uint8_t)((digit - digits) << (i % 2 == 0 ? 4 : 0));
    }
    return strcmp(name, "ip6.arpa") == 0;
}

bool dns_reverse_address(const char *name, struct plan_prefix *address)
{
    unsigned int byte[4];
    char end[16];

    if (strlen(name) > 72)
        return false;
    if (sscanf(name, "%3u.%3u.%3u.%3u.%15s", &byte[3], &byte[2], &byte[1], &byte[0], end) == 5 &&
        strcmp(end, "in-addr.arpa") == 0 && byte[0] < 256 && byte[1] < 256 && byte[2] < 256 &&
        byte[3] < 256) {
        *address = (struct plan_prefix){.family = AF_INET, .bits = 32};
        address->ipv4.s_addr = htonl(byte[0] << 24 | byte[1] << 16 | byte[2] << 8 | byte[3]);
        return true;
    }
    return reverse6(name, address);
}

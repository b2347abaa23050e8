/* SPDX-License-Identifier: MIT */
/* Messages of the domain name system (RFC 1035) for a forwarder: read and written, bounded. */
#ifndef NET_DNS_MESSAGE_H
#define NET_DNS_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "net/plan.h"

#define DNS_NAME_MAX    256u /* as text, with its end */
#define DNS_MESSAGE_MAX 65535u
#define DNS_UDP_MAX     4096u
#define DNS_UDP_PLAIN   512u /* what a client without EDNS takes */

enum { DNS_TYPE_A = 1, DNS_TYPE_PTR = 12, DNS_TYPE_AAAA = 28, DNS_TYPE_ANY = 255 };
enum { DNS_NOERROR = 0, DNS_FORMERR = 1, DNS_SERVFAIL = 2, DNS_NXDOMAIN = 3, DNS_REFUSED = 5 };

struct dns_question {
    uint16_t id;
    uint16_t type, class;
    char name[DNS_NAME_MAX]; /* in small letters, without the last dot; odd bytes are '?' */
    size_t size;             /* of header and question in the message */
};

/* Reads a query with one question. False for anything else. */
bool dns_read_query(const uint8_t *message, size_t size, struct dns_question *question);

/* Writes a query (recursion wanted); its size, 0 when the name does not fit. */
size_t dns_write_query(uint8_t message[DNS_UDP_PLAIN], uint16_t id, const char *name,
                       uint16_t type);

/*
 * Writes the answer to a query: the question again and the addresses of its type's family, or
 * name (for DNS_TYPE_PTR; NULL: none). answer has DNS_UDP_PLAIN bytes at least. The size.
 */
size_t dns_write_answer(uint8_t *answer, const uint8_t *query, const struct dns_question *question,
                        int rcode, const struct plan_prefix *addresses, size_t count,
                        const char *name);

/* The addresses in a response to the query with that id: the count, at most max; -1: it is none. */
int dns_read_addresses(const uint8_t *message, size_t size, uint16_t id,
                       struct plan_prefix *addresses, size_t max);

/* Whether "2.92.115.100.in-addr.arpa" or its like of IPv6 is asked for: then *address. */
bool dns_reverse_address(const char *name, struct plan_prefix *address);

#endif

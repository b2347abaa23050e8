/* SPDX-License-Identifier: MIT */
/* Fuzzes the reading of ICMP answers: any bytes, from either kind of socket. */
#include <stdlib.h>
#include <string.h>

#include "modules/net/icmp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct icmp_reply reply;

    for (int kind = 0; kind < 4; kind++) {
        bool is_ipv6 = (kind & 1) != 0, has_ip_header = (kind & 2) != 0;

        if (icmp_parse(data, size, is_ipv6, has_ip_header, &reply) &&
            (reply.size > size || reply.size < ICMP_HEADER_SIZE))
            abort();
    }
    return 0;
}

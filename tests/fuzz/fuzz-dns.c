/* SPDX-License-Identifier: MIT */
/* What guests and name servers send to the VMs' name server: read, and answered. */
#include <stdlib.h>
#include <string.h>

#include "net/dns-message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct plan_prefix addresses[8], reverse;
    struct dns_question question;
    uint8_t answer[DNS_UDP_PLAIN];
    int count = dns_read_addresses(data, size, size >= 2 ? (uint16_t)(data[0] << 8 | data[1]) : 0,
                                   addresses, 8);

    if (count > 8)
        abort();
    if (!dns_read_query(data, size, &question))
        return 0;
    if (question.size > size || strlen(question.name) >= DNS_NAME_MAX)
        abort();
    (void)dns_reverse_address(question.name, &reverse);
    if (dns_write_answer(answer, data, &question, DNS_NOERROR, addresses,
                         count > 0 ? (size_t)count : 0, "name.linux.test") > sizeof(answer))
        abort();
    return 0;
}

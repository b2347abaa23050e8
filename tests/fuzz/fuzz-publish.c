/* SPDX-License-Identifier: MIT */
/* Published ports as text, and the guest's word of its network: whatever is taken is taken again.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "guest/agent/network.h"
#include "lib/net/publish.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char text[1024], again[CROSH_PUBLISH_TEXT];
    struct crosh_publish publish, second;
    struct network network;

    if (size >= sizeof(text))
        return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    (void)network_parse(&network, text);
    if (crosh_priv_publish_parse(text, &publish, NULL) < 0)
        return 0;
    if (crosh_priv_publish_parse(crosh_priv_publish_text(&publish, again), &second, NULL) < 0 ||
        second.host_port != publish.host_port || second.guest_port != publish.guest_port ||
        second.is_udp != publish.is_udp || strcmp(second.bind, publish.bind) != 0)
        abort();
    return 0;
}

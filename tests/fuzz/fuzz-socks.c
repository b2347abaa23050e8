/* SPDX-License-Identifier: MIT */
/* Fuzzes what a SOCKS client says, and rules of forwardings. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "modules/vsh/endpoint.h"
#include "modules/vsh/socks.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int condition)
{
    if (!condition)
        abort();
}

/* However the words are cut, the outcome is the same, and nothing is taken that was not said. */
static int said(const uint8_t *data, size_t size, size_t step, struct socks *socks)
{
    size_t start = 0;
    int r = 0;

    for (size_t end = 0; r == 0 && end < size;) {
        size_t taken = 0;

        end = end + step < size ? end + step : size;
        do {
            uint8_t reply[SOCKS_REPLY_MAX];
            size_t reply_size = 0;

            r = socks_take(socks, data + start, end - start, &taken, reply, &reply_size);
            start += taken;
            require(start <= end && reply_size <= sizeof(reply));
        } while (r == 0 && taken > 0);
    }
    if (r == 1)
        require(memchr(socks->host, '\0', sizeof(socks->host)) != NULL && socks->host[0] != '\0' &&
                socks->port <= 65535);
    return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct socks whole = {0}, pieces = {0};
    struct forward_rule rule = {0};
    char *text = malloc(size + 1);
    char shown[320];

    if (size > 0 && size <= SOCKS_REQUEST_MAX / 2)
        require(said(data, size, size, &whole) == said(data, size, 1, &pieces));
    if (text == NULL)
        return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    if (forward_rule_parse(&rule, text, NULL) == 0) {
        require(*endpoint_text(&rule.from, shown, sizeof(shown)) != '\0');
        require(*endpoint_text(&rule.to, shown, sizeof(shown)) != '\0');
    }
    free(text);
    return 0;
}

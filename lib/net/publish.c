/* SPDX-License-Identifier: MIT */
/* Implements the text form of published ports. */
#include "lib/net/publish.h"

#include <arpa/inet.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int bad(const char *text, struct crosh_error *err)
{
    return crosh_error_set(err, CROSH_EUSAGE,
                           "'%s' is not [ADDRESS:]HOSTPORT:GUESTPORT[/udp], ports being 1 to %d",
                           text, UINT16_MAX);
}

/* A port that ends at one of the characters in stop. */
static const char *read_port(const char *at, const char *stop, unsigned int *port)
{
    char *end;
    unsigned long number;

    if (*at < '0' || *at > '9')
        return NULL;
    number = strtoul(at, &end, 10);
    if (number < 1 || number > UINT16_MAX || (*end != '\0' && strchr(stop, *end) == NULL))
        return NULL;
    *port = (unsigned int)number;
    return end;
}

/* The address before the ports; *at moves behind its colon. */
static bool read_bind(const char **at, struct crosh_publish *publish)
{
    bool is_ipv6 = **at == '[';
    const char *begin = *at + (is_ipv6 ? 1 : 0);
    const char *end = is_ipv6 ? strstr(begin, "]:") : strchr(begin, ':');
    unsigned char binary[16];

    if (end == NULL || (size_t)(end - begin) >= sizeof(publish->bind))
        return false;
    memcpy(publish->bind, begin, (size_t)(end - begin));
    publish->bind[end - begin] = '\0';
    *at = end + (is_ipv6 ? 2 : 1);
    return inet_pton(is_ipv6 ? AF_INET6 : AF_INET, publish->bind, binary) == 1;
}

int crosh_priv_publish_parse(const char *text, struct crosh_publish *publish,
                             struct crosh_error *err)
{
    const char *at = text;
    const char *blank = strchr(text, ' ');
    const char *colon;

    *publish = (struct crosh_publish){.is_udp = false};
    if (blank != NULL) {
        if (blank == text || (size_t)(blank - text) >= sizeof(publish->container))
            return bad(text, err);
        memcpy(publish->container, text, (size_t)(blank - text));
        at = blank + 1;
    }
    /* Two colons without brackets, or brackets: an address comes first. */
    colon = strchr(at, ':');
    if ((*at == '[' || (colon != NULL && strchr(colon + 1, ':') != NULL)) &&
        !read_bind(&at, publish))
        return bad(text, err);
    at = read_port(at, ":", &publish->host_port);
    if (at == NULL || *at != ':' || (at = read_port(at + 1, "/", &publish->guest_port)) == NULL)
        return bad(text, err);
    publish->is_udp = strcmp(at, "/udp") == 0;
    if (*at != '\0' && !publish->is_udp && strcmp(at, "/tcp") != 0)
        return bad(text, err);
    return 0;
}

const char *crosh_priv_publish_text(const struct crosh_publish *publish, char *buf)
{
    bool is_ipv6 = strchr(publish->bind, ':') != NULL;

    (void)snprintf(buf, CROSH_PUBLISH_TEXT, "%s%s%s%s%s%s%u:%u%s", publish->container,
                   publish->container[0] != '\0' ? " " : "", is_ipv6 ? "[" : "", publish->bind,
                   is_ipv6 ? "]" : "", publish->bind[0] != '\0' ? ":" : "", publish->host_port,
                   publish->guest_port, publish->is_udp ? "/udp" : "");
    return buf;
}

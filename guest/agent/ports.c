/* SPDX-License-Identifier: MIT */
/* The ports that the guest's programs listen on, asked of the kernel by sock_diag(7). */
#include "guest/agent/ports.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <inttypes.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <net/if.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/cleanup.h"

struct listing {
    struct listener_port *ports;
    size_t count;
};

static void add(struct listing *listing, const struct inet_diag_msg *found)
{
    struct listener_port *port = &listing->ports[listing->count];

    if (listing->count == LISTENERS_MAX)
        return;
    *port = (struct listener_port){.port = ntohs(found->id.idiag_sport)};
    if (inet_ntop(found->idiag_family, found->id.idiag_src, port->address, sizeof(port->address)) !=
        NULL)
        listing->count++;
}

/* Takes one datagram of the kernel's: 1 when it was the last, 0, or negative. */
static int take(int fd, struct listing *listing)
{
    _Alignas(struct nlmsghdr) char data[32768];
    ssize_t n = recv(fd, data, sizeof(data), 0);
    size_t left;

    if (n < 0)
        return errno == EINTR ? 0 : -errno;
    left = (size_t)n;
    for (struct nlmsghdr *header = (void *)data; NLMSG_OK(header, left);
         header = NLMSG_NEXT(header, left)) {
        if (header->nlmsg_type == NLMSG_DONE)
            return 1;
        if (header->nlmsg_type == NLMSG_ERROR)
            return header->nlmsg_len >= NLMSG_LENGTH(sizeof(struct nlmsgerr))
                       ? ((struct nlmsgerr *)NLMSG_DATA(header))->error
                       : -EPROTO;
        if (header->nlmsg_len >= NLMSG_LENGTH(sizeof(struct inet_diag_msg)))
            add(listing, NLMSG_DATA(header));
    }
    return 0;
}

static int list_family(int fd, unsigned char family, struct listing *listing)
{
    struct {
        struct nlmsghdr header;
        struct inet_diag_req_v2 request;
    } message = {
        .header = {.nlmsg_len = sizeof(message),
                   .nlmsg_type = SOCK_DIAG_BY_FAMILY,
                   .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
        .request = {.sdiag_family = family,
                    .sdiag_protocol = IPPROTO_TCP,
                    .idiag_states = 1u << TCP_LISTEN},
    };
    int r;

    if (send(fd, &message, sizeof(message), 0) < 0)
        return -errno;
    do {
        r = take(fd, listing);
    } while (r == 0);
    return r < 0 ? r : 0;
}

/* One line of /proc/net/tcp or tcp6: the address is words of hexadecimal digits, as in memory. */
static void take_line(const char *line, unsigned char family, struct listing *listing)
{
    struct listener_port *port = &listing->ports[listing->count];
    size_t words = family == AF_INET ? 1 : 4;
    uint32_t address[4] = {0};
    unsigned int number, state;
    const char *text = strchr(line, ':');

    if (text == NULL || listing->count == LISTENERS_MAX)
        return;
    text += 1 + strspn(text + 1, " ");
    for (size_t i = 0; i < words; i++, text += 8) {
        if (sscanf(text, "%8" SCNx32, &address[i]) != 1)
            return;
    }
    if (sscanf(text, ":%x %*s %x", &number, &state) != 2 || state != TCP_LISTEN)
        return;
    *port = (struct listener_port){.port = (uint16_t)number};
    if (inet_ntop(family, address, port->address, sizeof(port->address)) != NULL)
        listing->count++;
}

/* The same from /proc, for kernels that have the diagnosis in a module which is not there. */
static int list_from_proc(unsigned char family, struct listing *listing)
{
    cleanup_fclose FILE *in = fopen(family == AF_INET ? "/proc/net/tcp" : "/proc/net/tcp6", "re");
    char line[512];

    if (in == NULL)
        return -errno;
    while (fgets(line, sizeof(line), in) != NULL)
        take_line(line, family, listing);
    return 0;
}

/*
 * From the kernel's diagnosis, or else from /proc. A kernel without the diagnosis looks for its
 * module at each question, by a program that it starts: it is asked once by a process.
 */
static int list_or_read(int fd, unsigned char family, struct listing *listing)
{
    static bool is_missing;
    int r = -ENOENT;

    if (fd >= 0 && !is_missing)
        r = list_family(fd, family, listing);
    is_missing |= r == -ENOENT;
    return r < 0 ? list_from_proc(family, listing) : r;
}

static int compare(const void *a, const void *b)
{
    const struct listener_port *first = a;
    const struct listener_port *second = b;

    if (first->port != second->port)
        return first->port < second->port ? -1 : 1;
    return strcmp(first->address, second->address);
}

/* Whether the address is a bridge's: what listens there is for those behind the bridge. */
static bool is_of_bridge(const char *address, const struct ifaddrs *interfaces)
{
    for (const struct ifaddrs *at = interfaces; at != NULL; at = at->ifa_next) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)at->ifa_addr;
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)at->ifa_addr;
        char text[INET6_ADDRSTRLEN] = "";
        char path[64 + IF_NAMESIZE];

        if (at->ifa_addr == NULL)
            continue;
        if (at->ifa_addr->sa_family == AF_INET)
            (void)inet_ntop(AF_INET, &in->sin_addr, text, sizeof(text));
        else if (at->ifa_addr->sa_family == AF_INET6)
            (void)inet_ntop(AF_INET6, &in6->sin6_addr, text, sizeof(text));
        (void)snprintf(path, sizeof(path), "/sys/class/net/%.*s/bridge", IF_NAMESIZE, at->ifa_name);
        if (strcmp(text, address) == 0 && access(path, F_OK) == 0)
            return true;
    }
    return false;
}

/* Drops what listens on bridges alone, such as the name server for containers. */
static size_t drop_bridged(struct listener_port *ports, size_t count)
{
    struct ifaddrs *interfaces = NULL;
    size_t kept = 0;

    if (getifaddrs(&interfaces) < 0)
        return count;
    for (size_t i = 0; i < count; i++) {
        if (!is_of_bridge(ports[i].address, interfaces))
            ports[kept++] = ports[i];
    }
    freeifaddrs(interfaces);
    return kept;
}

int ports_list(struct listener_port ports[LISTENERS_MAX])
{
    cleanup_close int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
    struct listing listing = {.ports = ports};
    size_t kept = 0;
    int r;

    r = list_or_read(fd, AF_INET, &listing);
    if (r < 0)
        return r;
    /* A kernel without IPv6 has none of it. */
    (void)list_or_read(fd, AF_INET6, &listing);
    qsort(ports, listing.count, sizeof(*ports), compare);
    for (size_t i = 0; i < listing.count; i++) {
        if (kept == 0 || compare(&ports[kept - 1], &ports[i]) != 0)
            ports[kept++] = ports[i];
    }
    return (int)drop_bridged(ports, kept);
}

int ports_list_in(int network, struct listener_port ports[LISTENERS_MAX])
{
    cleanup_close int own = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    int r;

    if (own < 0 || setns(network, CLONE_NEWNET) < 0)
        return -errno;
    r = ports_list(ports);
    /* Whoever cannot come back must not go on elsewhere. */
    if (setns(own, CLONE_NEWNET) < 0)
        _exit(1);
    return r;
}

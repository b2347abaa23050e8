/* SPDX-License-Identifier: MIT */
/* Looks at addresses whenever the kernel tells of a change, then asks the name servers. */
#include "guest/agent/online.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/base/deadline.h"

#include <linux/rtnetlink.h>

#define RESOLV_CONF "/etc/resolv.conf"
#define SERVERS_MAX 3 /* as many as resolv.conf(5) lets count */
#define DNS_PORT    53
#define ANSWER_MAX  512
/* For an answer; and between two looks at what the kernel does not tell of, as resolv.conf. */
#define LOOK_MS 500
/* IPv6 is there before a DHCP server has given an IPv4 address: one that comes soon is waited for.
 */
#define IPV4_GRACE_MS 10000

/* RFC 1035 section 4.1.1 */
#define DNS_HEADER            12
#define DNS_RESPONSE          0x80 /* in the third byte */
#define DNS_RECURSION_DESIRED 0x01 /* there, too */
#define DNS_CODE              0x0f /* in the fourth */
#define DNS_NO_ERROR          0
#define DNS_NO_SUCH_NAME      3

/* What LXD's name server answers by itself, whatever there is behind it. */
#define DOMAIN "lxd"

struct server {
    union {
        struct sockaddr any;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
    };
    socklen_t size;
    char text[INET6_ADDRSTRLEN];
};

struct addresses {
    bool has_card, has_ipv4, has_ipv6;
};

/* Where this is called for a system's name the name is a host's: letters, digits, dashes. */
static size_t put_label(uint8_t *to, size_t room, const char *label)
{
    size_t length = strcspn(label, ".");

    if (length == 0 || length > 63 || length + 1 > room)
        return 0;
    to[0] = (uint8_t)length;
    memcpy(to + 1, label, length);
    return length + 1;
}

size_t online_query(uint8_t query[ONLINE_QUERY_MAX], uint16_t id, const char *name)
{
    static const uint8_t end[] = {0, 0, 1, 0, 1}; /* the root; type A; class IN */
    const uint8_t header[DNS_HEADER] = {
        (uint8_t)(id >> 8), (uint8_t)id, DNS_RECURSION_DESIRED, 0, 0, 1};
    size_t size = sizeof(header);

    memcpy(query, header, sizeof(header));
    size += put_label(query + size, ONLINE_QUERY_MAX - size, name);
    size += put_label(query + size, ONLINE_QUERY_MAX - size, DOMAIN);
    memcpy(query + size, end, sizeof(end));
    return size + sizeof(end);
}

int online_answer(const uint8_t *message, size_t size, uint16_t id)
{
    if (size < DNS_HEADER || message[0] != id >> 8 || message[1] != (id & 0xff) ||
        (message[2] & DNS_RESPONSE) == 0)
        return -1;
    return message[3] & DNS_CODE;
}

static bool is_ipv4_of_world(const struct sockaddr *address)
{
    const uint32_t ip = ntohl(((const struct sockaddr_in *)address)->sin_addr.s_addr);

    return ip >> 24 != IN_LOOPBACKNET && ip >> 16 != 0xa9fe; /* 169.254/16 */
}

static void free_addresses(struct ifaddrs **all)
{
    if (*all != NULL)
        freeifaddrs(*all);
}

static struct addresses look(void)
{
    struct addresses found = {false};
    cleanup(free_addresses) struct ifaddrs *all = NULL;

    if (getifaddrs(&all) < 0)
        all = NULL;
    for (const struct ifaddrs *one = all; one != NULL; one = one->ifa_next) {
        if ((one->ifa_flags & IFF_LOOPBACK) != 0)
            continue;
        found.has_card = true;
        if (one->ifa_addr == NULL)
            continue;
        if (one->ifa_addr->sa_family == AF_INET)
            found.has_ipv4 |= is_ipv4_of_world(one->ifa_addr);
        else if (one->ifa_addr->sa_family == AF_INET6)
            found.has_ipv6 |=
                !IN6_IS_ADDR_LINKLOCAL(&((const struct sockaddr_in6 *)one->ifa_addr)->sin6_addr);
    }
    return found;
}

/* The name servers that resolv.conf(5) names; how many. */
static size_t read_servers(struct server servers[SERVERS_MAX])
{
    cleanup_fclose FILE *f = fopen(RESOLV_CONF, "re");
    char line[256];
    size_t count = 0;

    while (f != NULL && count < SERVERS_MAX && fgets(line, sizeof(line), f) != NULL) {
        struct server *server = &servers[count];

        *server = (struct server){.size = 0};
        if (sscanf(line, " nameserver %45s", server->text) != 1)
            continue;
        if (inet_pton(AF_INET, server->text, &server->in.sin_addr) == 1) {
            server->in.sin_family = AF_INET;
            server->in.sin_port = htons(DNS_PORT);
            server->size = sizeof(server->in);
        } else if (inet_pton(AF_INET6, server->text, &server->in6.sin6_addr) == 1) {
            server->in6.sin6_family = AF_INET6;
            server->in6.sin6_port = htons(DNS_PORT);
            server->size = sizeof(server->in6);
        }
        count += server->size > 0 ? 1 : 0;
    }
    return count;
}

/*
 * Whether this one answers soon. One that only stands for others, as systemd's on the loopback,
 * says that it failed as long as it has none.
 */
static bool does_answer(const struct server *server)
{
    const int64_t deadline = deadline_in(LOOK_MS);
    cleanup_close int fd = socket(server->any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    uint8_t query[ONLINE_QUERY_MAX], answer[ANSWER_MAX];
    char name[65] = "";
    uint16_t id;
    size_t size;

    (void)gethostname(name, sizeof(name) - 1);
    if (getrandom(&id, sizeof(id), 0) != sizeof(id))
        id = (uint16_t)getpid();
    size = online_query(query, id, name);
    if (fd < 0 || connect(fd, &server->any, server->size) < 0 ||
        send(fd, query, size, MSG_NOSIGNAL) != (ssize_t)size)
        return false;
    while (deadline_poll(fd, POLLIN, deadline) == 0) {
        ssize_t n = recv(fd, answer, sizeof(answer), MSG_DONTWAIT);
        int code;

        if (n < 0 && errno != EINTR && errno != EAGAIN)
            return false;
        code = n > 0 ? online_answer(answer, (size_t)n, id) : -1;
        if (code >= 0)
            return code == DNS_NO_ERROR || code == DNS_NO_SUCH_NAME;
    }
    return false;
}

/* A socket that is readable when links and addresses change; -1: changes are not told. */
static int open_changes(void)
{
    const struct sockaddr_nl address = {.nl_family = AF_NETLINK,
                                        .nl_groups =
                                            RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR};
    cleanup_close int fd =
        socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);

    if (fd < 0 || bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
        return -1;
    return move_fd(fd);
}

static void await_change(int fd, int64_t deadline)
{
    const int64_t next = deadline_in(LOOK_MS);
    char buffer[8192];

    (void)deadline_poll(fd, POLLIN, next < deadline ? next : deadline);
    while (fd >= 0 && recv(fd, buffer, sizeof(buffer), 0) > 0)
        ;
}

/* What was still missing at the end. */
static int missing(bool has_address, const struct server *servers, size_t count,
                   struct crosh_error *err)
{
    if (!has_address)
        return crosh_error_set(err, -EADDRNOTAVAIL, "it has no address yet");
    if (count == 0)
        return crosh_error_set(err, -ENOENT,
                               "it has an address, but no name server in " RESOLV_CONF);
    return crosh_error_set(err, -ETIMEDOUT,
                           "it has an address, but no answer from its name server %s",
                           servers[0].text);
}

int online_wait(int timeout_ms, struct crosh_error *err)
{
    const int64_t deadline = deadline_in(timeout_ms);
    cleanup_close int changes = open_changes();
    int64_t ipv6_until = DEADLINE_NEVER;

    for (;;) {
        struct addresses addresses = look();
        struct server servers[SERVERS_MAX];
        size_t count = read_servers(servers);
        bool has_address;

        if (!addresses.has_card)
            return 0;
        if (!addresses.has_ipv6)
            ipv6_until = DEADLINE_NEVER;
        else if (ipv6_until == DEADLINE_NEVER)
            ipv6_until = deadline_in(IPV4_GRACE_MS);
        has_address =
            addresses.has_ipv4 || (ipv6_until != DEADLINE_NEVER && deadline_now() >= ipv6_until);
        for (size_t i = 0; has_address && i < count; i++) {
            if (does_answer(&servers[i]))
                return 0;
        }
        if (deadline_now() >= deadline)
            return missing(has_address || addresses.has_ipv6, servers, count, err);
        await_change(changes, deadline);
    }
}

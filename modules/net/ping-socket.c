/* SPDX-License-Identifier: MIT */
/* Implements sockets for echo requests (icmp(7), raw(7), ipv6(7)). */
#include "modules/net/ping-socket.h"

#include <errno.h>
#include <linux/errqueue.h>
#include <linux/icmp.h>
#include <netinet/icmp6.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/net/client.h"

static int set_int(int fd, int level, int option, int value)
{
    return setsockopt(fd, level, option, &value, sizeof(value));
}

/* Only echo replies shall wake us: a raw socket sees every ICMP message of the host. */
static int filter_raw(const struct ping_socket *sock)
{
    if (sock->is_ipv6) {
        struct icmp6_filter filter;

        ICMP6_FILTER_SETBLOCKALL(&filter);
        ICMP6_FILTER_SETPASS(ICMP6_ECHO_REPLY, &filter);
        return setsockopt(sock->fd, IPPROTO_ICMPV6, ICMP6_FILTER, &filter, sizeof(filter));
    } else {
        struct icmp_filter filter = {.data = ~(1u << ICMP_ECHOREPLY)};

        return setsockopt(sock->fd, SOL_RAW, ICMP_FILTER, &filter, sizeof(filter));
    }
}

static int set_options(const struct ping_socket *sock)
{
    int fd = sock->fd;
    int level = sock->is_ipv6 ? IPPROTO_IPV6 : IPPROTO_IP;

    if (set_int(fd, level, sock->is_ipv6 ? IPV6_RECVERR : IP_RECVERR, 1) < 0 ||
        set_int(fd, level, sock->is_ipv6 ? IPV6_RECVHOPLIMIT : IP_RECVTTL, 1) < 0 ||
        set_int(fd, SOL_SOCKET, SO_TIMESTAMPNS, 1) < 0)
        return -1;
    /* Room for the answers to a sweep; as much as the system grants. */
    (void)set_int(fd, SOL_SOCKET, SO_RCVBUF, 1 << 20);
    return sock->is_raw ? filter_raw(sock) : 0;
}

static int use_interface(const struct ping_socket *sock, const char *interface,
                         struct crosh_error *err)
{
    union net_address own;

    if (if_nametoindex(interface) != 0) {
        if (setsockopt(sock->fd, SOL_SOCKET, SO_BINDTODEVICE, interface,
                       (socklen_t)strlen(interface)) < 0)
            return crosh_error_errno(err, "-I %s", interface);
        return 0;
    }
    if (net_resolve(NULL, interface, sock->is_ipv6 ? AF_INET6 : AF_INET, &own, NULL) < 0)
        return crosh_error_set(err, -ENODEV, "-I %s: neither a link nor an address of this host",
                               interface);
    if (bind(sock->fd, &own.any, net_address_size(&own)) < 0)
        return crosh_error_errno(err, "-I %s", interface);
    return 0;
}

int ping_socket_open(struct ping_socket *sock, bool is_ipv6, bool is_inside,
                     const struct ping_socket_options *options, struct crosh_error *err)
{
    int family = is_ipv6 ? AF_INET6 : AF_INET;
    int protocol = is_ipv6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP;
    int flags = SOCK_CLOEXEC | SOCK_NONBLOCK;

    *sock = (struct ping_socket){.is_ipv6 = is_ipv6};
    sock->fd = is_inside ? crosh_priv_net_ping_socket(is_ipv6, &sock->is_raw, err)
                         : socket(family, SOCK_DGRAM | flags, protocol);
    if (sock->fd < 0 && is_inside)
        return sock->fd;
    if (sock->fd < 0 && (errno == EACCES || errno == EPERM)) {
        sock->is_raw = true;
        sock->fd = socket(family, SOCK_RAW | flags, protocol);
    }
    if (sock->fd < 0) {
        int code = crosh_error_errno(err, "ICMP socket");

        if (code == -EPERM || code == -EACCES)
            crosh_error_hint(err,
                             "let users ping: sysctl net.ipv4.ping_group_range='0 2147483647'");
        return code;
    }
    if (getrandom(&sock->id, sizeof(sock->id), GRND_NONBLOCK) != (ssize_t)sizeof(sock->id))
        sock->id = (uint16_t)getpid();
    if (set_options(sock) < 0 ||
        (options->ttl != 0 && set_int(sock->fd, is_ipv6 ? IPPROTO_IPV6 : IPPROTO_IP,
                                      is_ipv6 ? IPV6_UNICAST_HOPS : IP_TTL, options->ttl) < 0)) {
        int code = crosh_error_errno(err, "ICMP socket");

        ping_socket_close(sock);
        return code;
    }
    if (options->interface != NULL) {
        int code = use_interface(sock, options->interface, err);

        if (code < 0) {
            ping_socket_close(sock);
            return code;
        }
    }
    return 0;
}

void ping_socket_close(struct ping_socket *sock)
{
    if (sock->fd >= 0)
        (void)close(sock->fd);
    sock->fd = -1;
}

int ping_socket_send(struct ping_socket *sock, const union net_address *to, uint16_t sequence,
                     size_t payload)
{
    uint8_t small[ICMP_HEADER_SIZE + 2048];
    cleanup_free uint8_t *large = NULL;
    uint8_t *message = small;
    size_t size;

    if (payload > sizeof(small) - ICMP_HEADER_SIZE)
        message = large = malloc(ICMP_HEADER_SIZE + payload);
    if (message == NULL)
        return -ENOMEM;
    size = icmp_build(message, sock->is_ipv6, sock->id, sequence, payload);
    return sendto(sock->fd, message, size, MSG_DONTWAIT, &to->any, net_address_size(to)) < 0
               ? -errno
               : 0;
}

/* What comes beside a message: its time, its TTL, the error it is. */
static void read_controls(struct msghdr *header, struct ping_message *message,
                          struct sock_extended_err *error)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(header); c != NULL; c = CMSG_NXTHDR(header, c)) {
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SO_TIMESTAMPNS &&
            c->cmsg_len >= CMSG_LEN(sizeof(struct timespec))) {
            struct timespec time;

            memcpy(&time, CMSG_DATA(c), sizeof(time));
            message->time_ns = (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
        } else if (((c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TTL) ||
                    (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_HOPLIMIT)) &&
                   c->cmsg_len >= CMSG_LEN(sizeof(int))) {
            memcpy(&message->ttl, CMSG_DATA(c), sizeof(int));
        } else if (((c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_RECVERR) ||
                    (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_RECVERR)) &&
                   c->cmsg_len >= CMSG_LEN(sizeof(*error))) {
            size_t room = c->cmsg_len - CMSG_LEN(sizeof(*error));

            memcpy(error, CMSG_DATA(c), sizeof(*error));
            /* Behind it, the address of who reports it. */
            memcpy(&message->from, CMSG_DATA(c) + sizeof(*error),
                   room < sizeof(message->from) ? room : sizeof(message->from));
        }
    }
}

/* An entry of the error queue: the beginning of our own request comes back with it. */
static int receive_error(struct ping_socket *sock, struct ping_message *message)
{
    uint8_t data[ICMP_HEADER_SIZE], control[512];
    struct iovec iov = {.iov_base = data, .iov_len = sizeof(data)};
    struct msghdr header = {.msg_name = &message->error_target,
                            .msg_namelen = sizeof(message->error_target),
                            .msg_iov = &iov,
                            .msg_iovlen = 1,
                            .msg_control = control,
                            .msg_controllen = sizeof(control)};
    struct sock_extended_err error = {0};
    ssize_t size = recvmsg(sock->fd, &header, MSG_ERRQUEUE | MSG_DONTWAIT);

    if (size < 0)
        return -errno;
    read_controls(&header, message, &error);
    if (size < (ssize_t)sizeof(data) ||
        (error.ee_origin != SO_EE_ORIGIN_ICMP && error.ee_origin != SO_EE_ORIGIN_ICMP6) ||
        (sock->is_raw && (data[4] << 8 | data[5]) != sock->id))
        return 0;
    message->is_error = true;
    message->error_type = error.ee_type;
    message->error_code = error.ee_code;
    message->error_sequence = (uint16_t)(data[6] << 8 | data[7]);
    return 1;
}

int ping_socket_receive(struct ping_socket *sock, struct ping_message *message)
{
    uint8_t data[ICMP_MESSAGE_SIZE + 60], control[512];
    struct iovec iov = {.iov_base = data, .iov_len = sizeof(data)};
    struct msghdr header = {.msg_name = &message->from,
                            .msg_namelen = sizeof(message->from),
                            .msg_iov = &iov,
                            .msg_iovlen = 1,
                            .msg_control = control,
                            .msg_controllen = sizeof(control)};
    struct sock_extended_err unused = {0};
    ssize_t size;

    memset(message, 0, sizeof(*message));
    message->ttl = -1;
    size = recvmsg(sock->fd, &header, MSG_DONTWAIT);
    /* Failed, whyever: what the error queue holds is reported by one call for a message, too. */
    if (size < 0)
        return receive_error(sock, message);
    read_controls(&header, message, &unused);
    if (!icmp_parse(data, (size_t)size, sock->is_ipv6, sock->is_raw && !sock->is_ipv6,
                    &message->reply) ||
        (sock->is_raw && message->reply.id != sock->id))
        return 0;
    return 1;
}

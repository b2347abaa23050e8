/* SPDX-License-Identifier: MIT */
/*
 * Implements the giving of addresses. It is for guests that have no agent, or no host's word on
 * their kernel's command line: a cloud's disk image, say. Others do not ask. The server is our
 * own: on a link with one guest and one lease there is nothing to remember, and it runs with less
 * rights than one that also makes its sockets and keeps a file of leases.
 */
#include "net/dhcp.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/dhcp-message.h"
#include "net/dhcp6-message.h"
#include "net/front-process.h"
#include "net/router-message.h"

/* A keeper that was killed may come back late: with the next start of a VM. */
#define LEASE_S 43200u
/* Of advertisements that nobody asked for. */
#define ADVERTISE_MS 600000
/* Taken in one turn of the loop. */
#define BATCH_MAX 16

enum { SOCKET_DHCP, SOCKET_DHCP6, SOCKET_ROUTER, SOCKET_COUNT };
_Static_assert(FRONT_DHCP6 == FRONT_DHCP + 1 && FRONT_ROUTER == FRONT_DHCP + 2, "in this order");

/* One VM's link. */
struct served {
    struct front_process *front;
    struct keeper_vm *vm;
    struct dhcp_link link;
    int fd[SOCKET_COUNT];
    struct event_source *source[SOCKET_COUNT], *timer;
    bool has_ipv4, has_ipv6; /* were given */
};

struct dhcp {
    struct front_process *front;
    struct served *served[PLAN_PLACES];
};

/* A guest with one of the two addresses, and not the other, is not known by that one. */
static void note_guest(struct served *served)
{
    bool lacks_ipv6 = served->has_ipv4 && !served->has_ipv6;

    if (served->vm->lacks_ipv6 == lacks_ipv6)
        return;
    served->vm->lacks_ipv6 = lacks_ipv6;
    front_tell_guest(served->front, served->vm);
}

static void on_dhcp(void *opaque, uint32_t events)
{
    struct served *served = opaque;
    uint8_t message[DHCP_MESSAGE_MAX];

    (void)events;
    for (int i = 0; i < BATCH_MAX; i++) {
        ssize_t n = recv(served->fd[SOCKET_DHCP], message, sizeof(message), MSG_DONTWAIT);
        struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(DHCP_CLIENT_PORT)};
        struct dhcp_answer answer;

        if (n < 0)
            return;
        if (!dhcp_answer(&served->link, message, (size_t)n, &answer))
            continue;
        to.sin_addr = answer.to;
        (void)sendto(served->fd[SOCKET_DHCP], answer.message, answer.size,
                     MSG_DONTWAIT | MSG_NOSIGNAL, (const struct sockaddr *)&to, sizeof(to));
        served->has_ipv4 |= answer.is_bound;
        note_guest(served);
    }
}

static void on_dhcp6(void *opaque, uint32_t events)
{
    struct served *served = opaque;
    uint8_t message[DHCP_MESSAGE_MAX];

    (void)events;
    for (int i = 0; i < BATCH_MAX; i++) {
        struct sockaddr_in6 from;
        socklen_t size = sizeof(from);
        ssize_t n = recvfrom(served->fd[SOCKET_DHCP6], message, sizeof(message), MSG_DONTWAIT,
                             (struct sockaddr *)&from, &size);
        struct dhcp6_answer answer;

        if (n < 0)
            return;
        if (!dhcp6_answer(&served->link, message, (size_t)n, &answer))
            continue;
        (void)sendto(served->fd[SOCKET_DHCP6], answer.message, answer.size,
                     MSG_DONTWAIT | MSG_NOSIGNAL, (const struct sockaddr *)&from, size);
        served->has_ipv6 |= answer.is_bound;
        note_guest(served);
    }
}

/* To all on the link, which is the guest. */
static void advertise(struct served *served)
{
    struct sockaddr_in6 to = {.sin6_family = AF_INET6, .sin6_addr = {{{0xff, 0x02}}}};
    uint8_t message[ROUTER_ADVERT_MAX];
    size_t size = router_advertise(&served->link, message);

    to.sin6_addr.s6_addr[15] = 1;
    (void)sendto(served->fd[SOCKET_ROUTER], message, size, MSG_DONTWAIT | MSG_NOSIGNAL,
                 (const struct sockaddr *)&to, sizeof(to));
    event_timer_set(served->timer, ADVERTISE_MS);
}

static void on_advertise(void *opaque)
{
    advertise(opaque);
}

/* The hop limit that a message came with; -1: unknown. */
static int hop_limit_of(struct msghdr *header)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(header); c != NULL; c = CMSG_NXTHDR(header, c)) {
        int hops;

        if (c->cmsg_level != IPPROTO_IPV6 || c->cmsg_type != IPV6_HOPLIMIT ||
            c->cmsg_len != CMSG_LEN(sizeof(hops)))
            continue;
        memcpy(&hops, CMSG_DATA(c), sizeof(hops));
        return hops;
    }
    return -1;
}

/* However often it is asked in one turn, one advertisement answers. */
static void on_router(void *opaque, uint32_t events)
{
    struct served *served = opaque;
    bool is_asked = false;

    (void)events;
    for (int i = 0; i < BATCH_MAX; i++) {
        uint8_t message[DHCP_MESSAGE_MAX];
        char control[CMSG_SPACE(sizeof(int))];
        struct iovec iov = {.iov_base = message, .iov_len = sizeof(message)};
        struct msghdr header = {.msg_iov = &iov,
                                .msg_iovlen = 1,
                                .msg_control = control,
                                .msg_controllen = sizeof(control)};
        ssize_t n = recvmsg(served->fd[SOCKET_ROUTER], &header, MSG_DONTWAIT);

        if (n < 0)
            break;
        is_asked |= router_is_solicit(message, (size_t)n, hop_limit_of(&header));
    }
    if (is_asked)
        advertise(served);
}

static void served_free(struct served *served)
{
    for (int i = 0; i < SOCKET_COUNT; i++) {
        event_remove(served->source[i]);
        if (served->fd[i] >= 0)
            (void)close(served->fd[i]);
    }
    event_remove(served->timer);
    free(served);
}

void dhcp_add(struct dhcp *dhcp, struct keeper_vm *vm, const uint8_t *mac, unsigned int mtu,
              const int fds[3])
{
    static event_fn *const handlers[SOCKET_COUNT] = {on_dhcp, on_dhcp6, on_router};
    struct event_loop *loop = dhcp->front->loop;
    struct event_source *timer = NULL;
    struct served *served = calloc(1, sizeof(*served));

    if (served == NULL || (timer = event_timer_add(loop, on_advertise, served)) == NULL) {
        for (int i = 0; i < SOCKET_COUNT; i++)
            if (fds[i] >= 0)
                (void)close(fds[i]);
        free(served);
        return;
    }
    served->front = dhcp->front;
    served->vm = vm;
    served->link =
        (struct dhcp_link){.place = vm->place, .mtu = mtu, .name = vm->name, .lease_s = LEASE_S};
    memcpy(served->link.mac, mac, sizeof(served->link.mac));
    served->timer = timer;
    for (int i = 0; i < SOCKET_COUNT; i++) {
        served->fd[i] = fds[i];
        if (fds[i] >= 0)
            served->source[i] = event_add(loop, fds[i], EPOLLIN, handlers[i], served);
    }
    dhcp->served[vm->place.number] = served;
    if (fds[SOCKET_ROUTER] >= 0)
        event_timer_set(served->timer, ADVERTISE_MS);
}

void dhcp_remove(struct dhcp *dhcp, const struct keeper_vm *vm)
{
    if (dhcp->served[vm->place.number] == NULL)
        return;
    served_free(dhcp->served[vm->place.number]);
    dhcp->served[vm->place.number] = NULL;
}

struct dhcp *dhcp_new(struct front_process *front)
{
    struct dhcp *dhcp = calloc(1, sizeof(*dhcp));

    if (dhcp != NULL)
        dhcp->front = front;
    return dhcp;
}

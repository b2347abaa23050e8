/* SPDX-License-Identifier: MIT */
/* Implements the keeper's side of the front. */
#include "net/front.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/icmp6.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "net/front-message.h"
#include "net/front-process.h"
#include "net/lookup.h"
#include "net/names.h"

#define DNS_PORT    53
#define DHCP_PORT   67
#define DHCP6_PORT  547
#define BACKLOG     32
#define SERVERS_MAX 3u
/* A front that died is followed by another, but not at any speed. */
#define AGAIN_MS 1000
/* Taken in one turn of the loop. */
#define BATCH_MAX 32

/* Containers asked for at once: the host's own commands shall find room beside that
   (net/lookup.c). */
#define PENDING_MAX 8u

/* A container that the front asked for. */
struct pending {
    struct front *front;
    struct pending *next;
    struct lookup *lookup;
    uint32_t id;
};

struct front {
    struct keeper *keeper;
    pid_t pid; /* 0: there is none now */
    int channel, dial;
    struct event_source *channel_source, *dial_source, *again;
    struct pending *pendings;
    unsigned int pending_count;
};

/* ---- Sockets ---- */

static bool set_option(int fd, int level, int option, int value)
{
    return setsockopt(fd, level, option, &value, sizeof(value)) == 0;
}

/* Of that type, at an address and port; link: bound to it (NULL: not). Negative errno. */
static int open_socket(const struct plan_prefix *at, int type, unsigned int port, const char *link)
{
    cleanup_close int fd = socket(at->family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct sockaddr_storage address;
    socklen_t size = plan_to_sockaddr(at, port, &address);

    if (fd < 0 ||
        ((type == SOCK_STREAM || link != NULL) && !set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1)) ||
        (at->family == AF_INET6 && !set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1)) ||
        (link != NULL &&
         setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, link, (socklen_t)strlen(link)) < 0) ||
        bind(fd, (const struct sockaddr *)&address, size) < 0 ||
        (type == SOCK_STREAM && listen(fd, BACKLOG) < 0))
        return -errno;
    return move_fd(fd);
}

static int open_dhcp(const char *link)
{
    const struct plan_prefix any = {.family = AF_INET};
    cleanup_close int fd = open_socket(&any, SOCK_DGRAM, DHCP_PORT, link);

    if (fd < 0 || !set_option(fd, SOL_SOCKET, SO_BROADCAST, 1))
        return fd < 0 ? move_fd(fd) : -errno;
    return move_fd(fd);
}

static bool join(int fd, const char *link, const char *group)
{
    struct ipv6_mreq request = {.ipv6mr_interface = if_nametoindex(link)};

    return inet_pton(AF_INET6, group, &request.ipv6mr_multiaddr) == 1 &&
           setsockopt(fd, IPPROTO_IPV6, IPV6_ADD_MEMBERSHIP, &request, sizeof(request)) == 0;
}

static int open_dhcp6(const char *link)
{
    const struct plan_prefix any = {.family = AF_INET6};
    cleanup_close int fd = open_socket(&any, SOCK_DGRAM, DHCP6_PORT, link);

    if (fd < 0 || !join(fd, link, "ff02::1:2"))
        return fd < 0 ? move_fd(fd) : -errno;
    return move_fd(fd);
}

/* Hears solicitations alone; what it sends has the hop limit that neighbours are known by. */
static int open_router(const char *link)
{
    cleanup_close int fd =
        socket(AF_INET6, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_ICMPV6);
    struct icmp6_filter filter;

    ICMP6_FILTER_SETBLOCKALL(&filter);
    ICMP6_FILTER_SETPASS(ND_ROUTER_SOLICIT, &filter);
    if (fd < 0 || setsockopt(fd, IPPROTO_ICMPV6, ICMP6_FILTER, &filter, sizeof(filter)) < 0 ||
        setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, link, (socklen_t)strlen(link)) < 0 ||
        !set_option(fd, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, 255) ||
        !set_option(fd, IPPROTO_IPV6, IPV6_UNICAST_HOPS, 255) ||
        !set_option(fd, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1) || !join(fd, link, "ff02::2"))
        return -errno;
    return move_fd(fd);
}

static void open_sockets(struct front *front, const struct keeper_vm *vm, int fds[FRONT_SOCKETS])
{
    const struct plan_place *place = &vm->place;

    fds[FRONT_DNS_UDP] = open_socket(&place->gateway, SOCK_DGRAM, DNS_PORT, NULL);
    fds[FRONT_DNS_UDP6] = open_socket(&place->gateway6, SOCK_DGRAM, DNS_PORT, NULL);
    fds[FRONT_DNS_TCP] = open_socket(&place->gateway, SOCK_STREAM, DNS_PORT, NULL);
    fds[FRONT_DNS_TCP6] = open_socket(&place->gateway6, SOCK_STREAM, DNS_PORT, NULL);
    fds[FRONT_DHCP] = open_dhcp(vm->link);
    fds[FRONT_DHCP6] = open_dhcp6(vm->link);
    fds[FRONT_ROUTER] = open_router(vm->link);
    if (fds[FRONT_DNS_UDP] < 0)
        place_notice(&front->keeper->place,
                     "VM %s has no name server: port 53 of its gateway cannot be had (%s)",
                     vm->name, strerror(-fds[FRONT_DNS_UDP]));
    if (fds[FRONT_DHCP] < 0)
        place_notice(&front->keeper->place,
                     "VM %s is given no address by DHCP: port 67 cannot be had (%s)", vm->name,
                     strerror(-fds[FRONT_DHCP]));
}

/* ---- What the front asks for ---- */

/* The name servers of /etc/resolv.conf, which may change at any time: the count. */
static unsigned int read_servers(struct plan_prefix servers[SERVERS_MAX])
{
    cleanup_fclose FILE *f = fopen("/etc/resolv.conf", "re");
    unsigned int count = 0;
    char line[256], text[64];

    while (f != NULL && count < SERVERS_MAX && fgets(line, sizeof(line), f) != NULL) {
        struct plan_prefix *server = &servers[count];

        if (sscanf(line, " nameserver %63s", text) != 1)
            continue;
        *server = (struct plan_prefix){.family = AF_INET, .bits = 32};
        if (inet_pton(AF_INET, text, &server->ipv4) != 1) {
            *server = (struct plan_prefix){.family = AF_INET6, .bits = 128};
            if (inet_pton(AF_INET6, text, &server->ipv6) != 1)
                continue;
        }
        count++;
    }
    return count;
}

static void answer_dial(struct front *front, const struct front_message *question)
{
    struct front_message answer = {.op = FRONT_DIALLED, .number = question->number};
    struct plan_prefix servers[SERVERS_MAX];
    unsigned int count = read_servers(servers);
    int type = question->type == SOCK_STREAM ? SOCK_STREAM : SOCK_DGRAM;
    cleanup_close int fd = -1;

    for (; fd < 0 && answer.number < count; answer.number++) {
        struct outside_socket spec = {.family = servers[answer.number].family, .type = type};

        spec.connect_size = plan_to_sockaddr(&servers[answer.number], DNS_PORT, &spec.connect);
        fd = outside_socket(front->keeper->place.outside, &spec, NULL);
        if (fd >= 0)
            break;
    }
    (void)front_send(front->dial, &answer, &fd, fd >= 0);
}

static void pending_end(struct pending *pending)
{
    struct pending **at = &pending->front->pendings;

    while (*at != pending)
        at = &(*at)->next;
    *at = pending->next;
    pending->front->pending_count--;
    lookup_cancel(pending->lookup);
    free(pending);
}

static void on_looked_up(void *opaque, const struct lookup_answer *found)
{
    struct pending *pending = opaque;
    struct front_message answer = {.op = FRONT_TOLD, .id = pending->id};

    answer.count = found->count;
    memcpy(answer.addresses, found->addresses, sizeof(answer.addresses));
    (void)front_send(pending->front->channel, &answer, NULL, 0);
    pending->lookup = NULL;
    pending_end(pending);
}

static void look_up(struct front *front, const struct front_message *question)
{
    const struct front_message failed = {
        .op = FRONT_TOLD, .id = question->id, .count = FRONT_FAILED};
    struct keeper_vm *vm =
        question->number < PLAN_PLACES ? front->keeper->vms[question->number] : NULL;
    struct pending *pending = NULL;

    if (vm != NULL && names_is_label(question->container) && front->pending_count < PENDING_MAX)
        pending = calloc(1, sizeof(*pending));
    if (pending != NULL) {
        *pending = (struct pending){.front = front, .next = front->pendings, .id = question->id};
        front->pendings = pending;
        front->pending_count++;
        pending->lookup = lookup_start(front->keeper->loop, vm->name, question->container,
                                       &vm->place.containers, false, on_looked_up, pending);
        if (pending->lookup != NULL)
            return;
        pending_end(pending);
    }
    (void)front_send(front->channel, &failed, NULL, 0);
}

/* ---- Its life ---- */

static void stop(struct front *front)
{
    if (front->pid == 0)
        return;
    while (front->pendings != NULL)
        pending_end(front->pendings);
    event_remove(move_ptr(front->channel_source));
    event_remove(move_ptr(front->dial_source));
    (void)close(front->channel);
    (void)close(front->dial);
    (void)kill(front->pid, SIGKILL);
    while (waitpid(front->pid, NULL, 0) < 0 && errno == EINTR)
        ;
    front->pid = 0;
}

/* It died: of a fault that a guest brought about, or for want of memory. */
static void on_lost(struct front *front)
{
    (void)fprintf(stderr, "crosh-net: the front died; another one follows\n");
    stop(front);
    event_timer_set(front->again, AGAIN_MS);
}

static void on_channel(void *opaque, uint32_t events)
{
    struct front *front = opaque;

    (void)events;
    for (int i = 0; i < BATCH_MAX; i++) {
        struct front_message message;
        int fds[FRONT_SOCKETS];
        int code = front_receive(front->channel, &message, fds);

        if (code == -EAGAIN)
            return;
        for (int j = 0; j < FRONT_SOCKETS; j++)
            if (fds[j] >= 0)
                (void)close(fds[j]);
        if (code <= 0) {
            on_lost(front);
            return;
        }
        if (message.op == FRONT_ASK)
            look_up(front, &message);
        else if (message.op == FRONT_GUEST && message.number < PLAN_PLACES &&
                 front->keeper->vms[message.number] != NULL)
            front->keeper->vms[message.number]->lacks_ipv6 = message.lacks_ipv6;
    }
}

static void on_dial(void *opaque, uint32_t events)
{
    struct front *front = opaque;
    struct front_message message;
    int fds[FRONT_SOCKETS];
    int code = front_receive(front->dial, &message, fds);

    (void)events;
    for (int i = 0; i < FRONT_SOCKETS; i++)
        if (fds[i] >= 0)
            (void)close(fds[i]);
    if (code == 1)
        answer_dial(front, &message);
    else if (code != -EAGAIN)
        event_modify(front->dial_source, 0);
}

/* In the child: nothing of the keeper's but the two sockets and the log. */
static _Noreturn void become_front(int channel, int dial, pid_t keeper)
{
    const int first = STDERR_FILENO + 1;
    int fds[2] = {fcntl(channel, F_DUPFD_CLOEXEC, first + 2), fcntl(dial, F_DUPFD, first + 2)};

    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != keeper || fds[0] < 0 || fds[1] < 0 || dup2(fds[0], first) < 0 ||
        dup2(fds[1], first + 1) < 0 || close_range((unsigned int)first + 2, ~0U, 0) < 0)
        _exit(1);
    front_serve(first, first + 1);
}

static int start(struct front *front, struct crosh_error *err)
{
    pid_t keeper = getpid();
    int channel[2], dial[2];

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, channel) < 0)
        return crosh_error_errno(err, "socketpair");
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, dial) < 0) {
        (void)close(channel[0]);
        (void)close(channel[1]);
        return crosh_error_errno(err, "socketpair");
    }
    front->pid = fork();
    if (front->pid == 0)
        become_front(channel[1], dial[1], keeper);
    (void)close(channel[1]);
    (void)close(dial[1]);
    front->channel = channel[0];
    front->dial = dial[0];
    if (front->pid < 0) {
        front->pid = 0;
        (void)close(front->channel);
        (void)close(front->dial);
        return crosh_error_errno(err, "fork");
    }
    /* The keeper waits for nobody; the front's end stays as it is, for it shall. */
    (void)fcntl(front->dial, F_SETFL, O_NONBLOCK);
    front->channel_source =
        event_add(front->keeper->loop, front->channel, EPOLLIN, on_channel, front);
    front->dial_source = event_add(front->keeper->loop, front->dial, EPOLLIN, on_dial, front);
    if (front->channel_source == NULL || front->dial_source == NULL) {
        stop(front);
        return crosh_error_set(err, -ENOMEM, "out of memory");
    }
    return 0;
}

static void on_again(void *opaque)
{
    struct front *front = opaque;

    if (start(front, NULL) < 0) {
        event_timer_set(front->again, AGAIN_MS);
        return;
    }
    for (unsigned int i = 0; i < PLAN_PLACES; i++)
        if (front->keeper->vms[i] != NULL)
            front_add(front, front->keeper->vms[i]);
}

struct front *front_new(struct keeper *keeper, struct crosh_error *err)
{
    cleanup_free struct front *front = calloc(1, sizeof(*front));

    if (front == NULL) {
        crosh_error_set(err, -ENOMEM, "out of memory");
        return NULL;
    }
    front->keeper = keeper;
    if (start(front, err) < 0)
        return NULL;
    front->again = event_timer_add(keeper->loop, on_again, front);
    if (front->again == NULL) {
        crosh_error_errno(err, "epoll");
        stop(front);
        return NULL;
    }
    return move_ptr(front);
}

void front_free(struct front *front)
{
    if (front == NULL)
        return;
    stop(front);
    event_remove(front->again);
    free(front);
}

void front_add(struct front *front, struct keeper_vm *vm)
{
    struct front_message message = {.op = FRONT_ADD,
                                    .number = vm->place.number,
                                    .range = vm->place.range,
                                    .mtu = front->keeper->place.mtu};
    int made[FRONT_SOCKETS], fds[FRONT_SOCKETS];
    size_t count = 0;
    int code;

    vm->lacks_ipv6 = false;
    if (front->pid == 0)
        return;
    memcpy(message.site, front->keeper->site, sizeof(message.site));
    memcpy(message.name, vm->name, sizeof(message.name));
    (void)sscanf(vm->mac, "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", &message.mac[0], &message.mac[1],
                 &message.mac[2], &message.mac[3], &message.mac[4], &message.mac[5]);
    open_sockets(front, vm, made);
    for (int i = 0; i < FRONT_SOCKETS; i++) {
        if (made[i] < 0)
            continue;
        message.sockets |= 1u << i;
        fds[count++] = made[i];
    }
    code = front_send(front->channel, &message, fds, count);
    while (count > 0)
        (void)close(fds[--count]);
    if (code < 0)
        on_lost(front);
}

void front_remove(struct front *front, const struct keeper_vm *vm)
{
    const struct front_message message = {.op = FRONT_REMOVE, .number = vm->place.number};

    if (front->pid != 0 && front_send(front->channel, &message, NULL, 0) < 0)
        on_lost(front);
}

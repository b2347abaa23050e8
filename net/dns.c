/* SPDX-License-Identifier: MIT */
/*
 * Implements the name server. A query that is none of ours goes to the host's name servers as it
 * came, from a socket of its own in the host's network, and the answer comes back as it is:
 * so servers on the host's loopback serve guests, which cannot reach them otherwise.
 */
#include "net/dns.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "net/dns-message.h"
#include "net/lookup.h"
#include "net/names.h"
#include "net/relay.h"

#define PORT        53
#define QUERIES_MAX 256u /* that wait for answers, of all VMs */
#define VM_MAX      64u  /* of one VM */
#define STREAMS_MAX 32u
#define SERVERS_MAX 3u
#define SERVER_MS   5000
#define STREAM_MS   15000
/* Taken in one turn of the loop. */
#define BATCH_MAX 32u

enum { SOCKET_UDP, SOCKET_UDP6, SOCKET_TCP, SOCKET_TCP6, SOCKET_COUNT };

/* One VM's gateway. */
struct gateway {
    struct dns *dns;
    unsigned int number;
    int fd[SOCKET_COUNT];
    struct event_source *source[SOCKET_COUNT];
    unsigned int queries;
};

/* A query that waits. Of UDP: for a server, or for the guest's word about a container. */
struct query {
    struct dns *dns;
    struct query *next;
    struct gateway *gateway;
    struct sockaddr_storage client;
    socklen_t client_size;
    int from; /* the gateway's socket, which answers */
    struct dns_question question;
    uint8_t *message;
    size_t size;
    uint16_t id; /* towards the server */
    unsigned int server;
    int fd; /* to the server; -1: none */
    struct event_source *source, *timer;
    struct lookup *lookup;
};

/* A client of TCP. */
struct stream {
    struct dns *dns;
    struct stream *next;
    struct gateway *gateway;
    int fd; /* until the relay has it */
    struct event_source *source, *timer;
    struct lookup *lookup;
    struct relay *relay;
    size_t used;
    struct dns_question question;
    uint8_t data[2 + DNS_UDP_MAX];
};

struct dns {
    struct keeper *keeper;
    struct gateway *gateways[PLAN_PLACES];
    struct query *queries;
    struct stream *streams;
    unsigned int query_count, stream_count;
};

/* ---- The host's name servers ---- */

/* Those of /etc/resolv.conf, which may change at any time: the count. */
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

static socklen_t to_sockaddr(const struct plan_prefix *to, struct sockaddr_storage *address)
{
    memset(address, 0, sizeof(*address));
    address->ss_family = (sa_family_t)to->family;
    if (to->family == AF_INET6) {
        struct sockaddr_in6 *ipv6 = (struct sockaddr_in6 *)address;

        ipv6->sin6_addr = to->ipv6;
        ipv6->sin6_port = htons(PORT);
        return sizeof(*ipv6);
    } else {
        struct sockaddr_in *ipv4 = (struct sockaddr_in *)address;

        ipv4->sin_addr = to->ipv4;
        ipv4->sin_port = htons(PORT);
        return sizeof(*ipv4);
    }
}

/* A socket to the server of that number (they are tried in turn); -1: there are no more. */
static int dial_server(struct dns *dns, int type, unsigned int *number)
{
    struct plan_prefix servers[SERVERS_MAX];
    unsigned int count = read_servers(servers);

    for (; *number < count; ++*number) {
        struct outside_socket spec = {.family = servers[*number].family, .type = type};
        int fd;

        spec.connect_size = to_sockaddr(&servers[*number], &spec.connect);
        fd = outside_socket(dns->keeper->place.outside, &spec, NULL);
        if (fd >= 0)
            return fd;
    }
    return -1;
}

/* ---- Our names ---- */

enum verdict { VERDICT_FOREIGN, VERDICT_ANSWERED, VERDICT_LOOKUP };

/*
 * Answers what can be answered at once: *size bytes in answer (of DNS_UDP_PLAIN). VERDICT_LOOKUP:
 * the guest of vm is to be asked for the container.
 */
static enum verdict judge(struct dns *dns, const uint8_t *message,
                          const struct dns_question *question, uint8_t *answer, size_t *size,
                          struct keeper_vm **vm, char container[NAMES_CONTAINER_MAX])
{
    struct plan_prefix addresses[2];

    if (dns_reverse_address(question->name, &addresses[0])) {
        struct keeper_vm *owner = names_of_address(dns->keeper, &addresses[0]);
        char name[DNS_NAME_MAX];

        if (owner == NULL)
            return VERDICT_FOREIGN;
        (void)snprintf(name, sizeof(name), "%s." NAMES_DOMAIN, owner->name);
        *size = dns_write_answer(answer, message, question, DNS_NOERROR, NULL, 0,
                                 question->type == DNS_TYPE_PTR ? name : NULL);
        return VERDICT_ANSWERED;
    }
    switch (names_find(dns->keeper, question->name, vm, container)) {
    case NAMES_VM:
        addresses[0] = (*vm)->place.guest;
        addresses[1] = (*vm)->place.guest6;
        *size = dns_write_answer(answer, message, question, DNS_NOERROR, addresses, 2, NULL);
        return VERDICT_ANSWERED;
    case NAMES_CONTAINER:
        return VERDICT_LOOKUP;
    case NAMES_UNKNOWN:
        *size = dns_write_answer(answer, message, question, DNS_NXDOMAIN, NULL, 0, NULL);
        return VERDICT_ANSWERED;
    default:
        return VERDICT_FOREIGN;
    }
}

/* The answer about a container: nobody has a name that the guest knows no address of. */
static size_t answer_container(uint8_t *answer, const uint8_t *message,
                               const struct dns_question *question,
                               const struct plan_prefix *addresses, size_t count)
{
    return dns_write_answer(answer, message, question, count > 0 ? DNS_NOERROR : DNS_NXDOMAIN,
                            addresses, count, NULL);
}

/* ---- Datagrams ---- */

static void query_end(struct query *query)
{
    struct query **at = &query->dns->queries;

    while (*at != query)
        at = &(*at)->next;
    *at = query->next;
    query->dns->query_count--;
    query->gateway->queries--;
    lookup_cancel(query->lookup);
    event_remove(query->source);
    event_remove(query->timer);
    if (query->fd >= 0)
        (void)close(query->fd);
    free(query->message);
    free(query);
}

static void query_reply(struct query *query, const uint8_t *answer, size_t size)
{
    (void)sendto(query->from, answer, size, MSG_DONTWAIT | MSG_NOSIGNAL,
                 (const struct sockaddr *)&query->client, query->client_size);
    query_end(query);
}

static void query_fail(struct query *query, int rcode)
{
    uint8_t answer[DNS_UDP_PLAIN];
    size_t size = dns_write_answer(answer, query->message, &query->question, rcode, NULL, 0, NULL);

    query_reply(query, answer, size);
}

static void on_server(void *opaque, uint32_t events);

/* Sends the query to the next server that can be sent to. */
static void query_forward(struct query *query)
{
    for (;; query->server++) {
        event_remove(move_ptr(query->source));
        if (query->fd >= 0)
            (void)close(move_fd(query->fd));
        query->fd = dial_server(query->dns, SOCK_DGRAM, &query->server);
        if (query->fd < 0)
            break;
        /* Whoever guesses an answer has to guess this and the socket's port. */
        (void)!getrandom(&query->id, sizeof(query->id), GRND_NONBLOCK);
        query->message[0] = (uint8_t)(query->id >> 8);
        query->message[1] = (uint8_t)query->id;
        query->source = event_add(query->dns->keeper->loop, query->fd, EPOLLIN, on_server, query);
        if (query->source != NULL && send(query->fd, query->message, query->size, 0) >= 0) {
            event_timer_set(query->timer, SERVER_MS);
            return;
        }
    }
    query_fail(query, DNS_SERVFAIL);
}

static void on_server(void *opaque, uint32_t events)
{
    struct query *query = opaque;
    static uint8_t answer[DNS_MESSAGE_MAX];
    ssize_t n = recv(query->fd, answer, sizeof(answer), 0);

    (void)events;
    if (n < 0 && errno != EAGAIN) {
        /* Nobody serves there. */
        query->server++;
        query_forward(query);
        return;
    }
    if (n < (ssize_t)query->question.size || (answer[0] << 8 | answer[1]) != query->id)
        return;
    answer[0] = (uint8_t)(query->question.id >> 8);
    answer[1] = (uint8_t)query->question.id;
    query_reply(query, answer, (size_t)n);
}

static void on_server_late(void *opaque)
{
    struct query *query = opaque;

    query->server++;
    query_forward(query);
}

static void on_query_container(void *opaque, const struct plan_prefix *addresses, size_t count)
{
    struct query *query = opaque;
    uint8_t answer[DNS_UDP_PLAIN];
    size_t size = answer_container(answer, query->message, &query->question, addresses, count);

    query->lookup = NULL;
    query_reply(query, answer, size);
}

static struct query *query_new(struct gateway *gateway, const uint8_t *message, size_t size)
{
    struct dns *dns = gateway->dns;
    struct query *query;

    if (dns->query_count >= QUERIES_MAX || gateway->queries >= VM_MAX)
        return NULL;
    query = calloc(1, sizeof(*query));
    if (query == NULL)
        return NULL;
    query->dns = dns;
    query->gateway = gateway;
    query->fd = -1;
    query->size = size;
    query->message = malloc(size);
    query->timer = event_timer_add(dns->keeper->loop, on_server_late, query);
    if (query->message == NULL || query->timer == NULL) {
        event_remove(query->timer);
        free(query->message);
        free(query);
        return NULL;
    }
    memcpy(query->message, message, size);
    query->next = dns->queries;
    dns->queries = query;
    dns->query_count++;
    gateway->queries++;
    return query;
}

static void take_query(struct gateway *gateway, int fd, const uint8_t *message, size_t size,
                       const struct sockaddr_storage *client, socklen_t client_size)
{
    struct dns *dns = gateway->dns;
    struct dns_question question;
    uint8_t answer[DNS_UDP_PLAIN];
    char container[NAMES_CONTAINER_MAX];
    struct keeper_vm *vm = NULL;
    struct query *query;
    enum verdict verdict;
    size_t answer_size;

    if (!dns_read_query(message, size, &question))
        return;
    verdict = judge(dns, message, &question, answer, &answer_size, &vm, container);
    if (verdict == VERDICT_ANSWERED) {
        (void)sendto(fd, answer, answer_size, MSG_DONTWAIT | MSG_NOSIGNAL,
                     (const struct sockaddr *)client, client_size);
        return;
    }
    /* Too many wait: who asked will ask again. */
    query = query_new(gateway, message, size);
    if (query == NULL)
        return;
    query->client = *client;
    query->client_size = client_size;
    query->from = fd;
    query->question = question;
    if (verdict == VERDICT_FOREIGN) {
        query_forward(query);
        return;
    }
    query->lookup = lookup_start(dns->keeper->loop, vm->name, container, &vm->place.containers,
                                 on_query_container, query);
    if (query->lookup == NULL)
        query_fail(query, DNS_SERVFAIL);
}

static void on_datagrams(struct gateway *gateway, int fd)
{
    uint8_t message[DNS_UDP_MAX];

    for (unsigned int i = 0; i < BATCH_MAX; i++) {
        struct sockaddr_storage client;
        socklen_t size = sizeof(client);
        ssize_t n =
            recvfrom(fd, message, sizeof(message), MSG_DONTWAIT, (struct sockaddr *)&client, &size);

        if (n < 0)
            return;
        take_query(gateway, fd, message, (size_t)n, &client, size);
    }
}

/* ---- Streams: one question each, unless it is relayed ---- */

static void stream_end(struct stream *stream)
{
    struct stream **at = &stream->dns->streams;

    while (*at != stream)
        at = &(*at)->next;
    *at = stream->next;
    stream->dns->stream_count--;
    lookup_cancel(stream->lookup);
    relay_stop(stream->relay);
    event_remove(stream->source);
    event_remove(stream->timer);
    if (stream->fd >= 0)
        (void)close(stream->fd);
    free(stream);
}

static void on_stream_late(void *opaque)
{
    stream_end(opaque);
}

static void on_relay_end(void *opaque)
{
    struct stream *stream = opaque;

    stream->relay = NULL;
    stream_end(stream);
}

/* Answers and closes. */
static void stream_reply(struct stream *stream, const uint8_t *answer, size_t size)
{
    const uint8_t length[2] = {(uint8_t)(size >> 8), (uint8_t)size};
    struct iovec iov[2] = {{(void *)(uintptr_t)length, 2}, {(void *)(uintptr_t)answer, size}};
    struct msghdr header = {.msg_iov = iov, .msg_iovlen = 2};

    (void)!sendmsg(stream->fd, &header, MSG_DONTWAIT | MSG_NOSIGNAL);
    stream_end(stream);
}

static void on_stream_container(void *opaque, const struct plan_prefix *addresses, size_t count)
{
    struct stream *stream = opaque;
    uint8_t answer[DNS_UDP_PLAIN];
    size_t size = answer_container(answer, stream->data + 2, &stream->question, addresses, count);

    stream->lookup = NULL;
    stream_reply(stream, answer, size);
}

static void stream_forward(struct stream *stream)
{
    unsigned int number = 0;
    int server = dial_server(stream->dns, SOCK_STREAM, &number);

    event_remove(move_ptr(stream->source));
    event_timer_set(stream->timer, STREAM_MS);
    if (server >= 0)
        stream->relay = relay_start(stream->dns->keeper->loop, move_fd(stream->fd), server,
                                    stream->data, stream->used, on_relay_end, stream);
    if (stream->relay == NULL)
        stream_end(stream);
}

static void on_stream(void *opaque, uint32_t events)
{
    struct stream *stream = opaque;
    uint8_t answer[DNS_UDP_PLAIN];
    char container[NAMES_CONTAINER_MAX];
    struct keeper_vm *vm = NULL;
    size_t size, answer_size;
    ssize_t n = recv(stream->fd, stream->data + stream->used, sizeof(stream->data) - stream->used,
                     MSG_DONTWAIT);

    (void)events;
    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0) {
        stream_end(stream);
        return;
    }
    stream->used += (size_t)n;
    if (stream->used < 2)
        return;
    size = (size_t)(stream->data[0] << 8 | stream->data[1]);
    if (stream->used < 2 + size && size <= DNS_UDP_MAX)
        return;
    if (size > DNS_UDP_MAX || !dns_read_query(stream->data + 2, size, &stream->question)) {
        stream_end(stream);
        return;
    }
    switch (judge(stream->dns, stream->data + 2, &stream->question, answer, &answer_size, &vm,
                  container)) {
    case VERDICT_ANSWERED:
        stream_reply(stream, answer, answer_size);
        break;
    case VERDICT_FOREIGN:
        stream_forward(stream);
        break;
    case VERDICT_LOOKUP:
        event_modify(stream->source, 0);
        stream->lookup = lookup_start(stream->dns->keeper->loop, vm->name, container,
                                      &vm->place.containers, on_stream_container, stream);
        if (stream->lookup == NULL)
            stream_end(stream);
        break;
    }
}

static void on_listener(struct gateway *gateway, int listener)
{
    struct dns *dns = gateway->dns;
    cleanup_close int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    struct stream *stream;

    if (fd < 0 || dns->stream_count >= STREAMS_MAX)
        return;
    stream = calloc(1, sizeof(*stream));
    if (stream == NULL)
        return;
    stream->dns = dns;
    stream->gateway = gateway;
    stream->fd = move_fd(fd);
    stream->next = dns->streams;
    dns->streams = stream;
    dns->stream_count++;
    stream->source = event_add(dns->keeper->loop, stream->fd, EPOLLIN, on_stream, stream);
    stream->timer = event_timer_add(dns->keeper->loop, on_stream_late, stream);
    if (stream->source == NULL || stream->timer == NULL)
        stream_end(stream);
    else
        event_timer_set(stream->timer, STREAM_MS);
}

/* ---- Gateways ---- */

static void on_gateway(void *opaque, uint32_t events)
{
    struct gateway *gateway = opaque;

    (void)events;
    /* Which of the sockets it was costs less to try than to tell. */
    on_datagrams(gateway, gateway->fd[SOCKET_UDP]);
    on_datagrams(gateway, gateway->fd[SOCKET_UDP6]);
    on_listener(gateway, gateway->fd[SOCKET_TCP]);
    on_listener(gateway, gateway->fd[SOCKET_TCP6]);
}

static int open_socket(const struct plan_prefix *at, int type)
{
    const int on = 1;
    cleanup_close int fd = socket(at->family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct sockaddr_storage address;
    socklen_t size = to_sockaddr(at, &address);

    if (fd < 0 ||
        (type == SOCK_STREAM && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0) ||
        (at->family == AF_INET6 &&
         setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) < 0) ||
        bind(fd, (const struct sockaddr *)&address, size) < 0 ||
        (type == SOCK_STREAM && listen(fd, (int)STREAMS_MAX) < 0))
        return -errno;
    return move_fd(fd);
}

void dns_add(struct dns *dns, const struct keeper_vm *vm)
{
    const struct plan_prefix *const addresses[SOCKET_COUNT] = {
        &vm->place.gateway, &vm->place.gateway6, &vm->place.gateway, &vm->place.gateway6};
    struct gateway *gateway = calloc(1, sizeof(*gateway));

    if (gateway == NULL)
        return;
    gateway->dns = dns;
    gateway->number = vm->place.number;
    for (int i = 0; i < SOCKET_COUNT; i++) {
        int type = i == SOCKET_UDP || i == SOCKET_UDP6 ? SOCK_DGRAM : SOCK_STREAM;

        gateway->fd[i] = open_socket(addresses[i], type);
        if (gateway->fd[i] >= 0)
            gateway->source[i] =
                event_add(dns->keeper->loop, gateway->fd[i], EPOLLIN, on_gateway, gateway);
        else if (i == SOCKET_UDP)
            place_notice(&dns->keeper->place,
                         "VM %s has no name server: port 53 of its gateway cannot be had (%s)",
                         vm->name, strerror(-gateway->fd[i]));
    }
    dns->gateways[gateway->number] = gateway;
}

void dns_remove(struct dns *dns, const struct keeper_vm *vm)
{
    struct gateway *gateway = dns->gateways[vm->place.number];

    if (gateway == NULL)
        return;
    dns->gateways[vm->place.number] = NULL;
    for (struct query *query = dns->queries, *next; query != NULL; query = next) {
        next = query->next;
        if (query->gateway == gateway)
            query_end(query);
    }
    for (struct stream *stream = dns->streams, *next; stream != NULL; stream = next) {
        next = stream->next;
        if (stream->gateway == gateway)
            stream_end(stream);
    }
    for (int i = 0; i < SOCKET_COUNT; i++) {
        event_remove(gateway->source[i]);
        if (gateway->fd[i] >= 0)
            (void)close(gateway->fd[i]);
    }
    free(gateway);
}

struct dns *dns_new(struct keeper *keeper)
{
    struct dns *dns = calloc(1, sizeof(*dns));

    if (dns != NULL)
        dns->keeper = keeper;
    return dns;
}

void dns_free(struct dns *dns)
{
    free(dns);
}

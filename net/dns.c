/* SPDX-License-Identifier: MIT */
/*
 * Implements the name server. A query that is none of ours goes to the host's name servers as it
 * came, by a socket of its own in the host's network (the keeper makes it), and the answer comes
 * back as it is: so servers on the host's loopback serve guests, which cannot reach them otherwise.
 */
#include "net/dns.h"

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
#include "net/front-process.h"
#include "net/names.h"
#include "net/relay.h"

#define QUERIES_MAX 256u /* that wait for answers, of all VMs */
#define VM_MAX      64u  /* of one VM */
#define STREAMS_MAX 32u
/* Of one VM: so that no guest keeps the others from being answered, or the host busy. */
#define VM_STREAMS_MAX 8u
#define VM_ASKS_MAX    4u
#define SERVER_MS      5000
#define STREAM_MS      15000
#define ASK_MS         20000
/* Taken in one turn of the loop. */
#define BATCH_MAX 32u

enum { SOCKET_UDP, SOCKET_UDP6, SOCKET_TCP, SOCKET_TCP6, SOCKET_COUNT };

/* One VM's gateway. */
struct gateway {
    struct dns *dns;
    unsigned int number;
    int fd[SOCKET_COUNT];
    struct event_source *source[SOCKET_COUNT];
    unsigned int queries, streams, asks;
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
    struct front_ask *ask;
};

/* A client of TCP. */
struct stream {
    struct dns *dns;
    struct stream *next;
    struct gateway *gateway;
    int fd; /* until the relay has it */
    struct event_source *source, *timer;
    struct front_ask *ask;
    struct relay *relay;
    size_t used;
    struct dns_question question;
    uint8_t data[2 + DNS_UDP_MAX];
};

struct dns {
    struct front_process *front;
    struct gateway *gateways[PLAN_PLACES];
    struct query *queries;
    struct stream *streams;
    unsigned int query_count, stream_count;
};

/* ---- Our names ---- */

enum verdict { VERDICT_FOREIGN, VERDICT_ANSWERED, VERDICT_ASK };

/*
 * Answers what can be answered at once: *size bytes in answer (of DNS_UDP_PLAIN). VERDICT_ASK:
 * the guest of vm is to be asked for the container.
 */
static enum verdict judge(struct dns *dns, const uint8_t *message,
                          const struct dns_question *question, uint8_t *answer, size_t *size,
                          struct keeper_vm **vm, char container[NAMES_CONTAINER_MAX])
{
    struct plan_prefix addresses[2];

    if (dns_reverse_address(question->name, &addresses[0])) {
        struct keeper_vm *owner = names_of_address(dns->front->vms, &addresses[0]);
        char name[DNS_NAME_MAX];

        if (owner == NULL)
            return VERDICT_FOREIGN;
        (void)snprintf(name, sizeof(name), "%s." NAMES_DOMAIN, owner->name);
        *size = dns_write_answer(answer, message, question, DNS_NOERROR, NULL, 0,
                                 question->type == DNS_TYPE_PTR ? name : NULL);
        return VERDICT_ANSWERED;
    }
    switch (names_find(dns->front->vms, question->name, vm, container)) {
    case NAMES_VM:
        *size = dns_write_answer(answer, message, question, DNS_NOERROR, addresses,
                                 names_addresses(*vm, addresses), NULL);
        return VERDICT_ANSWERED;
    case NAMES_CONTAINER:
        return VERDICT_ASK;
    case NAMES_UNKNOWN:
        *size = dns_write_answer(answer, message, question, DNS_NXDOMAIN, NULL, 0, NULL);
        return VERDICT_ANSWERED;
    default:
        return VERDICT_FOREIGN;
    }
}

/* The answer about a container: nobody has a name that the guest knows no address of. count: as
   the keeper told. */
static size_t answer_container(uint8_t *answer, const uint8_t *message,
                               const struct dns_question *question,
                               const struct plan_prefix *addresses, size_t count)
{
    int rcode = count == FRONT_FAILED ? DNS_SERVFAIL : count > 0 ? DNS_NOERROR : DNS_NXDOMAIN;

    if (count > LOOKUP_ADDRESSES_MAX)
        count = 0;
    return dns_write_answer(answer, message, question, rcode, addresses, count, NULL);
}

/* Who waits for a guest's word about a container. NULL: too many do, or there is no memory. */
static struct front_ask *ask_begin(struct gateway *gateway, const struct keeper_vm *vm,
                                   const char *container, front_ask_fn *fn, void *opaque)
{
    struct front_ask *ask = NULL;

    if (gateway->asks < VM_ASKS_MAX)
        ask = front_ask(gateway->dns->front, vm, container, fn, opaque);
    gateway->asks += ask != NULL;
    return ask;
}

/* Ends that, if it is so; was_told: the answer has come, and the ask is gone. */
static void ask_end(struct gateway *gateway, struct front_ask **ask, bool was_told)
{
    if (*ask == NULL)
        return;
    if (!was_told)
        front_ask_cancel(*ask);
    *ask = NULL;
    gateway->asks--;
}

/* Whether it is another VM's guest, which has a gateway of its own to ask: what one may have
   waiting, others shall not use up. */
static bool is_anothers(const struct gateway *gateway, const struct sockaddr_storage *client)
{
    struct plan_prefix address = {.family = client->ss_family};

    if (address.family == AF_INET6) {
        address.bits = 128;
        address.ipv6 = ((const struct sockaddr_in6 *)client)->sin6_addr;
    } else {
        address.bits = 32;
        address.ipv4 = ((const struct sockaddr_in *)client)->sin_addr;
    }
    for (unsigned int i = 0; i < PLAN_PLACES; i++) {
        const struct keeper_vm *vm = gateway->dns->front->vms[i];
        struct plan_prefix guest;

        if (vm == NULL || i == gateway->number)
            continue;
        /* Not its whole network: there is the host in it. */
        guest = address.family == AF_INET6 ? vm->place.guest6 : vm->place.guest;
        guest.bits = address.bits;
        if (plan_overlaps(&guest, &address) || plan_overlaps(&vm->place.containers, &address) ||
            plan_overlaps(&vm->place.containers6, &address))
            return true;
    }
    return false;
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
    ask_end(query->gateway, &query->ask, false);
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
        query->fd = front_dial(query->dns->front, SOCK_DGRAM, &query->server);
        if (query->fd < 0)
            break;
        /* Whoever guesses an answer has to guess this and the socket's port. */
        (void)!getrandom(&query->id, sizeof(query->id), GRND_NONBLOCK);
        query->message[0] = (uint8_t)(query->id >> 8);
        query->message[1] = (uint8_t)query->id;
        query->source = event_add(query->dns->front->loop, query->fd, EPOLLIN, on_server, query);
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

static void on_late(void *opaque)
{
    struct query *query = opaque;

    if (query->ask != NULL) {
        query_fail(query, DNS_SERVFAIL);
        return;
    }
    query->server++;
    query_forward(query);
}

static void on_query_container(void *opaque, const struct plan_prefix *addresses, size_t count)
{
    struct query *query = opaque;
    uint8_t answer[DNS_UDP_PLAIN];
    size_t size = answer_container(answer, query->message, &query->question, addresses, count);

    ask_end(query->gateway, &query->ask, true);
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
    query->timer = event_timer_add(dns->front->loop, on_late, query);
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
    query->ask = ask_begin(gateway, vm, container, on_query_container, query);
    event_timer_set(query->timer, ASK_MS);
    if (query->ask == NULL)
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
        if (!is_anothers(gateway, &client))
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
    stream->gateway->streams--;
    ask_end(stream->gateway, &stream->ask, false);
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

    ask_end(stream->gateway, &stream->ask, true);
    stream_reply(stream, answer, size);
}

static void stream_forward(struct stream *stream)
{
    unsigned int number = 0;
    int server = front_dial(stream->dns->front, SOCK_STREAM, &number);

    event_remove(move_ptr(stream->source));
    event_timer_set(stream->timer, STREAM_MS);
    if (server >= 0)
        stream->relay = relay_start(stream->dns->front->loop, move_fd(stream->fd), server,
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
    case VERDICT_ASK:
        event_modify(stream->source, 0);
        stream->ask = ask_begin(stream->gateway, vm, container, on_stream_container, stream);
        if (stream->ask == NULL)
            stream_end(stream);
        break;
    }
}

static void on_listener(struct gateway *gateway, int listener)
{
    struct dns *dns = gateway->dns;
    struct sockaddr_storage client;
    socklen_t size = sizeof(client);
    cleanup_close int fd =
        accept4(listener, (struct sockaddr *)&client, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
    struct stream *stream;

    if (fd < 0 || dns->stream_count >= STREAMS_MAX || gateway->streams >= VM_STREAMS_MAX ||
        is_anothers(gateway, &client))
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
    gateway->streams++;
    stream->source = event_add(dns->front->loop, stream->fd, EPOLLIN, on_stream, stream);
    stream->timer = event_timer_add(dns->front->loop, on_stream_late, stream);
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

void dns_add(struct dns *dns, const struct keeper_vm *vm, const int fds[4])
{
    struct gateway *gateway = calloc(1, sizeof(*gateway));

    for (int i = 0; gateway == NULL && i < SOCKET_COUNT; i++)
        if (fds[i] >= 0)
            (void)close(fds[i]);
    if (gateway == NULL)
        return;
    gateway->dns = dns;
    gateway->number = vm->place.number;
    for (int i = 0; i < SOCKET_COUNT; i++) {
        gateway->fd[i] = fds[i];
        if (fds[i] >= 0)
            gateway->source[i] = event_add(dns->front->loop, fds[i], EPOLLIN, on_gateway, gateway);
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

struct dns *dns_new(struct front_process *front)
{
    struct dns *dns = calloc(1, sizeof(*dns));

    if (dns != NULL)
        dns->front = front;
    return dns;
}

/* SPDX-License-Identifier: MIT */
/* Implements the keeper's socket: each packet is a request, and answered by one. */
#include "net/server.h"

#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/net/socket.h"
#include "net/links.h"
#include "net/lookup.h"
#include "net/names.h"

#define CLIENTS_MAX 64u

struct client {
    struct server *server;
    struct client *next;
    int fd;
    struct event_source *source;
    struct lookup *lookup; /* that the answer waits for, of: */
    char vm[CROSH_VM_NAME_MAX + 1];
    char container[NAMES_CONTAINER_MAX];
};

struct server {
    struct keeper *keeper;
    int fd;
    struct event_source *source;
    struct client *clients;
    unsigned int count;
};

static void client_end(struct client *client)
{
    struct server *server = client->server;
    struct client **at = &server->clients;

    while (*at != client)
        at = &(*at)->next;
    *at = client->next;
    server->count--;
    lookup_cancel(client->lookup);
    event_remove(client->source);
    (void)close(client->fd);
    free(client);
    event_modify(server->source, EPOLLIN);
}

static void answer(struct client *client, Net__Response *response, const int *fds, size_t count)
{
    response->version = 1;
    response->descriptors = (uint32_t)count;
    /* Who does not read loses the answer, and the descriptors with it. */
    (void)crosh_priv_net_send(client->fd, &response->base, fds, count);
}

static void answer_error(struct client *client, const struct crosh_error *err)
{
    Net__Response response = NET__RESPONSE__INIT;

    response.code = err->code < 0 ? err->code : -EIO;
    response.message = (char *)(uintptr_t)err->message;
    response.hint = (char *)(uintptr_t)err->hint;
    answer(client, &response, NULL, 0);
}

/* ---- VMs as answers show them ---- */

struct shown {
    Net__Vm vm;
    Net__Counters counters;
    Net__Published *published[PUBLISH_MAX];
    char address[PLAN_TEXT_SIZE], address6[PLAN_TEXT_SIZE], gateway[PLAN_TEXT_SIZE],
        gateway6[PLAN_TEXT_SIZE], containers[PLAN_TEXT_SIZE], containers6[PLAN_TEXT_SIZE];
};

static void show(struct keeper *keeper, struct keeper_vm *vm, struct shown *shown)
{
    struct links_counters counters;

    net__vm__init(&shown->vm);
    net__counters__init(&shown->counters);
    shown->vm.name = vm->name;
    shown->vm.link = vm->link;
    shown->vm.mac = vm->mac;
    shown->vm.mtu = keeper->place.mtu;
    shown->vm.isolated = vm->is_isolated;
    shown->vm.address = (char *)(uintptr_t)plan_text(&vm->place.guest, true, shown->address);
    shown->vm.address6 = (char *)(uintptr_t)plan_text(&vm->place.guest6, true, shown->address6);
    shown->vm.gateway = (char *)(uintptr_t)plan_text(&vm->place.gateway, true, shown->gateway);
    shown->vm.gateway6 = (char *)(uintptr_t)plan_text(&vm->place.gateway6, true, shown->gateway6);
    shown->vm.containers =
        (char *)(uintptr_t)plan_text(&vm->place.containers, true, shown->containers);
    shown->vm.containers6 =
        (char *)(uintptr_t)plan_text(&vm->place.containers6, true, shown->containers6);
    if (links_counters(keeper->sock, vm->link, &counters, NULL) == 0) {
        shown->vm.up = counters.is_up;
        /* What the interface sends, the VM receives. */
        shown->counters.rx_bytes = counters.tx_bytes;
        shown->counters.rx_packets = counters.tx_packets;
        shown->counters.tx_bytes = counters.rx_bytes;
        shown->counters.tx_packets = counters.rx_packets;
        shown->counters.dropped = counters.dropped;
    }
    shown->vm.counters = &shown->counters;
    for (unsigned int i = 0; i < vm->published_count; i++)
        shown->published[i] = (Net__Published *)(uintptr_t)publish_what(vm->published[i]);
    shown->vm.n_published = vm->published_count;
    shown->vm.published = shown->published;
}

/* ---- Requests: 0 when answered, or negative with err filled ---- */

/* A port that is another program's now costs the VM that port, not its network. */
static size_t publish_all(struct keeper *keeper, struct keeper_vm *vm, const Net__Attach *request,
                          char *warnings[PUBLISH_MAX])
{
    size_t count = 0;

    for (size_t i = 0; i < request->n_published; i++) {
        struct crosh_error err = {0};

        if (keeper_publish(keeper, vm, request->published[i], false, &err) < 0 &&
            count < PUBLISH_MAX && (warnings[count] = strdup(err.message)) != NULL)
            count++;
    }
    return count;
}

static int attach(struct client *client, const Net__Attach *request, struct crosh_error *err)
{
    struct keeper *keeper = client->server->keeper;
    Net__Response response = NET__RESPONSE__INIT;
    Net__Attached attached = NET__ATTACHED__INIT;
    cleanup_free char *text = NULL;
    char *warnings[PUBLISH_MAX];
    struct keeper_vm *vm;
    struct shown shown;
    int fd[TAP_QUEUES_MAX];
    int count;

    count = keeper_attach(keeper, request, fd, &vm, err);
    if (count < 0)
        return count;
    attached.n_warnings = publish_all(keeper, vm, request, warnings);
    attached.warnings = warnings;
    text = keeper_guest_text(keeper, vm);
    show(keeper, vm, &shown);
    attached.vm = &shown.vm;
    attached.guest = text;
    response.attached = &attached;
    if (text != NULL)
        answer(client, &response, fd, (size_t)count);
    while (attached.n_warnings > 0)
        free(warnings[--attached.n_warnings]);
    /* From here on the interface is its launcher's. */
    while (count > 0)
        (void)close(fd[--count]);
    return text != NULL ? 0 : crosh_error_set(err, -ENOMEM, "out of memory");
}

static int list(struct client *client, struct crosh_error *err)
{
    struct keeper *keeper = client->server->keeper;
    const struct place *place = &keeper->place;
    Net__Response response = NET__RESPONSE__INIT;
    Net__Listing listing = NET__LISTING__INIT;
    cleanup_free struct shown *shown = calloc(PLAN_PLACES, sizeof(*shown));
    Net__Vm *vms[PLAN_PLACES];
    char *notices[sizeof(place->notices) / sizeof(place->notices[0])];

    if (shown == NULL)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    keeper_sweep(keeper);
    listing.own_namespace = place->is_own;
    listing.pid = getpid();
    listing.uplink = (char *)(uintptr_t)(place->uplink != NULL ? place->uplink : "");
    listing.table = keeper->table;
    for (unsigned int i = 0; i < place->notice_count; i++)
        notices[i] = (char *)(uintptr_t)place->notices[i];
    listing.n_notices = place->notice_count;
    listing.notices = notices;
    listing.vms = vms;
    for (unsigned int i = 0; i < PLAN_PLACES; i++) {
        if (keeper->vms[i] == NULL)
            continue;
        show(keeper, keeper->vms[i], &shown[listing.n_vms]);
        vms[listing.n_vms] = &shown[listing.n_vms].vm;
        listing.n_vms++;
    }
    response.listing = &listing;
    answer(client, &response, NULL, 0);
    return 0;
}

static int find(struct client *client, const char *name, struct keeper_vm **vm,
                struct crosh_error *err)
{
    keeper_sweep(client->server->keeper);
    *vm = keeper_find(client->server->keeper, name);
    return *vm != NULL ? 0 : crosh_error_set(err, -ENOENT, "VM %s has no link here", name);
}

static void answer_ok(struct client *client)
{
    Net__Response response = NET__RESPONSE__INIT;

    answer(client, &response, NULL, 0);
}

static int set_link(struct client *client, const Net__SetLink *request, struct crosh_error *err)
{
    struct keeper_vm *vm;
    int code = find(client, request->vm, &vm, err);

    if (code == 0)
        code = keeper_set_link(client->server->keeper, vm, request->up, err);
    if (code == 0)
        answer_ok(client);
    return code;
}

static int ping_socket(struct client *client, const Net__PingSocket *request,
                       struct crosh_error *err)
{
    const int family = request->ipv6 ? AF_INET6 : AF_INET;
    const int protocol = request->ipv6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP;
    Net__Response response = NET__RESPONSE__INIT;
    cleanup_close int fd = socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol);

    if (fd < 0) {
        response.raw = true;
        fd = socket(family, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol);
    }
    if (fd < 0)
        return crosh_error_errno(err, "ICMP socket");
    answer(client, &response, &fd, 1);
    return 0;
}

static int capture(struct client *client, const Net__Capture *request, struct crosh_error *err)
{
    Net__Response response = NET__RESPONSE__INIT;
    struct sockaddr_ll address = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};
    cleanup_close int fd = -1;
    struct keeper_vm *vm;
    int code = find(client, request->vm, &vm, err);

    if (code < 0)
        return code;
    /* It sees nothing until it is bound: with no protocol yet. */
    fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    address.sll_ifindex = (int)if_nametoindex(vm->link);
    if (fd < 0 || bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
        return crosh_error_errno(err, "cannot capture on %s", vm->link);
    answer(client, &response, &fd, 1);
    return 0;
}

static void answer_addresses(struct client *client, const struct plan_prefix *addresses,
                             size_t count)
{
    Net__Response response = NET__RESPONSE__INIT;
    char text[LOOKUP_ADDRESSES_MAX][PLAN_TEXT_SIZE];
    char *list[LOOKUP_ADDRESSES_MAX];

    for (size_t i = 0; i < count && i < LOOKUP_ADDRESSES_MAX; i++)
        list[response.n_addresses++] = (char *)(uintptr_t)plan_text(&addresses[i], false, text[i]);
    response.addresses = list;
    answer(client, &response, NULL, 0);
}

static void on_resolved(void *opaque, const struct lookup_answer *found)
{
    struct client *client = opaque;
    struct crosh_error err = {0};

    client->lookup = NULL;
    if (found->count > 0) {
        answer_addresses(client, found->addresses, found->count);
    } else {
        (void)container_state_explain(found->state, client->vm, client->container, &err);
        answer_error(client, &err);
    }
    event_modify(client->source, EPOLLIN);
}

static int resolve(struct client *client, const Net__Resolve *request, struct crosh_error *err)
{
    struct keeper *keeper = client->server->keeper;
    struct keeper_vm *vm;
    struct stat st;

    keeper_sweep(keeper);
    if (request->network != 0 &&
        (stat("/proc/self/ns/net", &st) < 0 || st.st_ino != request->network))
        return crosh_error_set(err, -ENOENT, "the VMs are in another network");
    switch (names_find(keeper->vms, request->name, &vm, client->container)) {
    case NAMES_VM: {
        struct plan_prefix addresses[2];
        size_t count = names_addresses(vm, addresses);

        answer_addresses(client, addresses, count);
        return 0;
    }
    case NAMES_CONTAINER:
        /* It may have been stopped just now. */
        client->lookup = lookup_start(keeper->loop, vm->name, client->container,
                                      &vm->place.containers, true, on_resolved, client);
        (void)snprintf(client->vm, sizeof(client->vm), "%s", vm->name);
        if (client->lookup == NULL)
            return crosh_error_set(err, -EAGAIN, "too many names are asked for at once");
        event_modify(client->source, 0);
        return 0;
    default:
        return crosh_error_set(err, -ENOENT, "%s: no VM or container of that name has a network",
                               request->name);
    }
}

static int publish(struct client *client, const Net__Publish *request, struct crosh_error *err)
{
    struct keeper_vm *vm;
    int code = find(client, request->vm, &vm, err);

    if (code == 0 && request->what == NULL)
        code = crosh_error_set(err, -EINVAL, "no port is named");
    if (code == 0)
        code = keeper_publish(client->server->keeper, vm, request->what, request->remove, err);
    if (code == 0)
        answer_ok(client);
    return code;
}

static int dispatch(struct client *client, const Net__Request *request, struct crosh_error *err)
{
    switch (request->op_case) {
    case NET__REQUEST__OP_ATTACH:
        return attach(client, request->attach, err);
    case NET__REQUEST__OP_LIST:
        return list(client, err);
    case NET__REQUEST__OP_SET_LINK:
        return set_link(client, request->set_link, err);
    case NET__REQUEST__OP_PING_SOCKET:
        return ping_socket(client, request->ping_socket, err);
    case NET__REQUEST__OP_CAPTURE:
        return capture(client, request->capture, err);
    case NET__REQUEST__OP_RESOLVE:
        return resolve(client, request->resolve, err);
    case NET__REQUEST__OP_PUBLISH:
        return publish(client, request->publish, err);
    default:
        return crosh_error_set(err, -ENOTSUP,
                               "the keeper of the network does not know that "
                               "request: it is of another version");
    }
}

static void on_client(void *opaque, uint32_t events)
{
    struct client *client = opaque;
    ProtobufCMessage *message = NULL;
    struct crosh_error err = {0};
    int code;

    (void)events;
    code = crosh_priv_net_receive(client->fd, &net__request__descriptor, &message, NULL, NULL);
    if (code == -EAGAIN)
        return;
    if (code <= 0) {
        client_end(client);
        return;
    }
    if (dispatch(client, (const Net__Request *)message, &err) < 0)
        answer_error(client, &err);
    protobuf_c_message_free_unpacked(message, NULL);
}

static void on_listener(void *opaque, uint32_t events)
{
    struct server *server = opaque;
    cleanup_close int fd = accept4(server->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    struct client *client;

    (void)events;
    if (fd < 0)
        return;
    client = calloc(1, sizeof(*client));
    if (client == NULL)
        return;
    client->server = server;
    client->source = event_add(server->keeper->loop, fd, EPOLLIN, on_client, client);
    if (client->source == NULL) {
        free(client);
        return;
    }
    client->fd = move_fd(fd);
    client->next = server->clients;
    server->clients = client;
    if (++server->count == CLIENTS_MAX)
        event_modify(server->source, 0);
}

struct server *server_new(struct keeper *keeper, struct crosh_error *err)
{
    const struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = CROSH_NET_SOCKET};
    cleanup_free struct server *server = calloc(1, sizeof(*server));
    cleanup_close int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (server == NULL) {
        crosh_error_set(err, -ENOMEM, "out of memory");
        return NULL;
    }
    (void)unlink(CROSH_NET_SOCKET);
    if (fd < 0 || bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 ||
        listen(fd, SOMAXCONN) < 0) {
        crosh_error_errno(err, "cannot listen at %s", CROSH_NET_SOCKET);
        return NULL;
    }
    server->keeper = keeper;
    server->source = event_add(keeper->loop, fd, EPOLLIN, on_listener, server);
    if (server->source == NULL) {
        crosh_error_errno(err, "cannot watch %s", CROSH_NET_SOCKET);
        return NULL;
    }
    server->fd = move_fd(fd);
    return move_ptr(server);
}

void server_free(struct server *server)
{
    if (server == NULL)
        return;
    while (server->clients != NULL)
        client_end(server->clients);
    event_remove(server->source);
    (void)close(server->fd);
    (void)unlink(CROSH_NET_SOCKET);
    free(server);
}

unsigned int server_clients(const struct server *server)
{
    return server->count;
}

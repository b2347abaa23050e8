/* SPDX-License-Identifier: MIT */
/*
 * Implements the front. What guests send is read here and nowhere else; so this process has no
 * capabilities, and system calls for what it does alone: reading, writing and waiting
 * (net/confine.h). Taking it over gives a guest's owner the answers to other guests, and sockets
 * to the host's name servers.
 */
#include "net/front-process.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "net/confine.h"
#include "net/dhcp.h"
#include "net/dns.h"

/* A question that the keeper has not answered. */
struct front_ask {
    struct front_process *front;
    struct front_ask *next;
    uint32_t id;
    front_ask_fn *fn;
    void *opaque;
};

static void close_all(const int fds[FRONT_SOCKETS])
{
    for (int i = 0; i < FRONT_SOCKETS; i++)
        if (fds[i] >= 0)
            (void)close(fds[i]);
}

static void remove_vm(struct front_process *front, unsigned int number)
{
    if (number >= PLAN_PLACES || front->vms[number] == NULL)
        return;
    dns_remove(front->dns, front->vms[number]);
    dhcp_remove(front->dhcp, front->vms[number]);
    free(front->vms[number]);
    front->vms[number] = NULL;
}

static void add_vm(struct front_process *front, const struct front_message *message,
                   const int received[FRONT_SOCKETS])
{
    struct keeper_vm *vm = calloc(1, sizeof(*vm));
    int fds[FRONT_SOCKETS];
    int next = 0;

    remove_vm(front, message->number);
    if (vm == NULL || message->number >= PLAN_PLACES || message->range >= plan_range_count()) {
        close_all(received);
        free(vm);
        return;
    }
    for (int i = 0; i < FRONT_SOCKETS; i++)
        fds[i] = (message->sockets & 1u << i) != 0 ? received[next++] : -1;
    memcpy(vm->name, message->name, sizeof(vm->name));
    vm->place = plan_place(message->range, message->number, message->site);
    front->vms[message->number] = vm;
    dns_add(front->dns, vm, &fds[FRONT_DNS_UDP]);
    dhcp_add(front->dhcp, vm, message->mac, message->mtu, &fds[FRONT_DHCP]);
}

static void told(struct front_process *front, const struct front_message *message)
{
    for (struct front_ask *ask = front->asks; ask != NULL; ask = ask->next) {
        front_ask_fn *fn = ask->fn;
        void *opaque = ask->opaque;

        if (ask->id != message->id)
            continue;
        front_ask_cancel(ask);
        fn(opaque, message->addresses, message->count);
        return;
    }
}

static void on_keeper(void *opaque, uint32_t events)
{
    struct front_process *front = opaque;
    struct front_message message;
    int fds[FRONT_SOCKETS];
    int code = front_receive(front->keeper, &message, fds);

    (void)events;
    if (code == -EAGAIN)
        return;
    if (code <= 0) {
        event_loop_quit(front->loop);
        return;
    }
    if (message.op == FRONT_ADD)
        add_vm(front, &message, fds);
    else
        close_all(fds);
    if (message.op == FRONT_REMOVE)
        remove_vm(front, message.number);
    else if (message.op == FRONT_TOLD)
        told(front, &message);
}

int front_dial(struct front_process *front, int type, unsigned int *number)
{
    const struct front_message message = {.op = FRONT_DIAL, .type = type, .number = *number};
    struct front_message answer;
    int fds[FRONT_SOCKETS];

    if (front_send(front->dial, &message, NULL, 0) < 0 ||
        front_receive(front->dial, &answer, fds) != 1)
        return -1;
    *number = answer.number;
    return fds[0];
}

struct front_ask *front_ask(struct front_process *front, const struct keeper_vm *vm,
                            const char *container, front_ask_fn *fn, void *opaque)
{
    struct front_ask *ask = calloc(1, sizeof(*ask));
    struct front_message message = {
        .op = FRONT_ASK, .id = ++front->next_id, .number = vm->place.number};

    if (ask == NULL)
        return NULL;
    (void)snprintf(message.container, sizeof(message.container), "%s", container);
    if (front_send(front->keeper, &message, NULL, 0) < 0) {
        free(ask);
        return NULL;
    }
    *ask = (struct front_ask){
        .front = front, .next = front->asks, .id = message.id, .fn = fn, .opaque = opaque};
    front->asks = ask;
    return ask;
}

void front_ask_cancel(struct front_ask *ask)
{
    struct front_ask **at;

    if (ask == NULL)
        return;
    at = &ask->front->asks;
    while (*at != ask)
        at = &(*at)->next;
    *at = ask->next;
    free(ask);
}

void front_tell_guest(struct front_process *front, const struct keeper_vm *vm)
{
    const struct front_message message = {
        .op = FRONT_GUEST, .number = vm->place.number, .lacks_ipv6 = vm->lacks_ipv6};

    (void)front_send(front->keeper, &message, NULL, 0);
}

_Noreturn void front_serve(int keeper, int dial)
{
    struct front_process front = {.keeper = keeper, .dial = dial};
    struct crosh_error err = {0};

    front.loop = event_loop_new(&err);
    front.dns = dns_new(&front);
    front.dhcp = dhcp_new(&front);
    if (front.loop == NULL || front.dns == NULL || front.dhcp == NULL ||
        event_add(front.loop, keeper, EPOLLIN, on_keeper, &front) == NULL ||
        confine_drop_capabilities(0, &err) < 0 || confine_enter(CONFINE_FRONT, &err) < 0) {
        fprintf(stderr, "crosh-net: the front cannot begin: %s\n",
                err.code < 0 ? err.message : strerror(errno));
        _exit(1);
    }
    (void)event_loop_run(front.loop, &err);
    _exit(0);
}

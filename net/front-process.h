/* SPDX-License-Identifier: MIT */
/* The front: one loop for all VMs, and what its services ask the keeper for. */
#ifndef NET_FRONT_PROCESS_H
#define NET_FRONT_PROCESS_H

#include "kvm/event-loop.h"
#include "net/front-message.h"
#include "net/keeper.h"

struct front_ask;

struct front_process {
    struct event_loop *loop;
    int keeper, dial; /* sockets to the keeper: of its events, and of questions that wait */
    struct keeper_vm *vms[PLAN_PLACES];
    struct dns *dns;
    struct dhcp *dhcp;
    struct front_ask *asks;
    uint32_t next_id;
};

/* Is the front until the keeper is gone. */
_Noreturn void front_serve(int keeper, int dial);

/* A socket to the host's name server of that number, or of the next that there is; -1: none. */
int front_dial(struct front_process *front, int type, unsigned int *number);

/* As lookup_fn; count is FRONT_FAILED when it could not be asked. */
typedef void front_ask_fn(void *opaque, const struct plan_prefix *addresses, size_t count);

/* Asks for a container of the VM. fn is called once, unless it is cancelled. NULL: no memory. */
struct front_ask *front_ask(struct front_process *front, const struct keeper_vm *vm,
                            const char *container, front_ask_fn *fn, void *opaque);
/* Accepts NULL. */
void front_ask_cancel(struct front_ask *ask);

/* Tells the keeper what is known of the guest now. */
void front_tell_guest(struct front_process *front, const struct keeper_vm *vm);

#endif

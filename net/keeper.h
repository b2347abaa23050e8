/* SPDX-License-Identifier: MIT */
/* The VMs that have a link, and all that belongs to each, until its link is gone. */
#ifndef NET_KEEPER_H
#define NET_KEEPER_H

#include <netlink/socket.h>
#include <stdbool.h>

#include <crosh/vm.h>

#include "kvm/event-loop.h"
#include "lib/wire/net.pb-c.h"
#include "net/filter.h"
#include "net/place.h"
#include "net/plan.h"
#include "net/publish.h"
#include "net/tap.h"

#define KEEPER_LINK_PREFIX "crosh"

struct keeper_vm {
    char name[CROSH_VM_NAME_MAX + 1];
    char link[16];
    char mac[18];
    struct plan_place place;
    bool is_isolated;
    bool lacks_ipv6; /* it was given an IPv4 address, and has not asked for one of IPv6 */
    struct publish *published[PUBLISH_MAX]; /* the first published_count */
    unsigned int published_count;
};

struct keeper {
    struct event_loop *loop;
    struct place place;
    struct nl_sock *sock;
    struct filter *filter;
    char table[48];
    uint8_t site[PLAN_SITE_BYTES];
    struct keeper_vm *vms[PLAN_PLACES]; /* by the number of the place; NULL: free */
    unsigned int vm_count;
    void (*on_change)(void *opaque, struct keeper_vm *vm, bool is_there);
    void *opaque;
};

/* Enters the place and makes the table; loop stays the caller's. 0, or negative with err filled. */
int keeper_init(struct keeper *keeper, struct event_loop *loop, enum place_kind kind,
                const char *directory, struct crosh_error *err);
/* Takes all back. */
void keeper_fini(struct keeper *keeper);

/* NULL: it has no link. */
struct keeper_vm *keeper_find(const struct keeper *keeper, const char *name);

/* Makes a VM's link, its ports not published yet: the count of descriptors in fd, the caller's to
   close, or negative. */
int keeper_attach(struct keeper *keeper, const Net__Attach *attach, int fd[TAP_QUEUES_MAX],
                  struct keeper_vm **vm, struct crosh_error *err);

/* Takes over a VM whose link an earlier keeper made. NULL: it is gone, or its place is taken. */
struct keeper_vm *keeper_adopt(struct keeper *keeper, const char *name, unsigned int number,
                               unsigned int range, bool is_isolated);

/* Forgets those whose links are gone. */
void keeper_sweep(struct keeper *keeper);

/* Switches a VM's link on or off. */
int keeper_set_link(struct keeper *keeper, struct keeper_vm *vm, bool up, struct crosh_error *err);

/* Adds or removes a published port. */
int keeper_publish(struct keeper *keeper, struct keeper_vm *vm, const Net__Published *what,
                   bool remove, struct crosh_error *err);

/* For the agent: "mac=..,ip=..,gw=..,..." (doc/protocols.md). */
char *keeper_guest_text(const struct keeper *keeper, const struct keeper_vm *vm);

#endif

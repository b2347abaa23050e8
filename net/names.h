/* SPDX-License-Identifier: MIT */
/* What VMs and containers are called: "termina", "penguin", "penguin.termina.linux.test". */
#ifndef NET_NAMES_H
#define NET_NAMES_H

#include "net/keeper.h"

#define NAMES_DOMAIN        "linux.test"
#define NAMES_DEFAULT_VM    "termina"
#define NAMES_DEFAULT_CT    "penguin"
#define NAMES_CONTAINER_MAX 64u

enum names_kind {
    NAMES_FOREIGN, /* none of ours */
    NAMES_UNKNOWN, /* in our domain, and there is no such thing */
    NAMES_VM,
    NAMES_CONTAINER, /* of that VM, as far as the name tells */
};

/*
 * Whom a name (in small letters, without the last dot) means among the VMs that have a link.
 * "penguin" is the container of that name in "termina", as other containers are with the domain.
 */
enum names_kind names_find(struct keeper_vm *const vms[PLAN_PLACES], const char *name,
                           struct keeper_vm **vm, char container[NAMES_CONTAINER_MAX]);

/* The VM that has the address; NULL: none. */
struct keeper_vm *names_of_address(struct keeper_vm *const vms[PLAN_PLACES],
                                   const struct plan_prefix *address);

/* Whether the text is a container's name, or a part of one of ours: letters, digits, dashes. */
bool names_is_label(const char *text);

/* The addresses that a VM has, as far as is known: their count. */
size_t names_addresses(const struct keeper_vm *vm, struct plan_prefix addresses[2]);

#endif

/* SPDX-License-Identifier: MIT */
/* Implements names. */
#include "net/names.h"

#include <stdio.h>
#include <string.h>

bool names_is_label(const char *text)
{
    size_t size = strlen(text);

    return size > 0 && size < NAMES_CONTAINER_MAX &&
           strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-") == size;
}

static struct keeper_vm *find_vm(struct keeper_vm *const vms[PLAN_PLACES], const char *name)
{
    for (unsigned int i = 0; i < PLAN_PLACES; i++)
        if (vms[i] != NULL && strcmp(vms[i]->name, name) == 0)
            return vms[i];
    return NULL;
}

enum names_kind names_find(struct keeper_vm *const vms[PLAN_PLACES], const char *name,
                           struct keeper_vm **vm, char container[NAMES_CONTAINER_MAX])
{
    static const char domain[] = "." NAMES_DOMAIN;
    const size_t domain_size = sizeof(domain) - 1;
    char text[2 * NAMES_CONTAINER_MAX];
    size_t size = strlen(name);
    bool has_domain = size > domain_size && strcmp(name + size - domain_size, domain) == 0;
    enum names_kind otherwise = has_domain ? NAMES_UNKNOWN : NAMES_FOREIGN;
    char *dot;

    if (has_domain)
        size -= domain_size;
    if (size >= sizeof(text))
        return otherwise;
    memcpy(text, name, size);
    text[size] = '\0';
    dot = strchr(text, '.');
    if (dot != NULL)
        *dot = '\0';
    if (!names_is_label(text) || (dot != NULL && !names_is_label(dot + 1)))
        return otherwise;
    *vm = find_vm(vms, dot != NULL ? dot + 1 : text);
    if (dot == NULL && *vm != NULL)
        return NAMES_VM;
    if (dot == NULL && (has_domain || strcmp(text, NAMES_DEFAULT_CT) == 0))
        *vm = find_vm(vms, NAMES_DEFAULT_VM);
    if (*vm == NULL)
        return otherwise;
    (void)snprintf(container, NAMES_CONTAINER_MAX, "%s", text);
    return NAMES_CONTAINER;
}

size_t names_addresses(const struct keeper_vm *vm, struct plan_prefix addresses[2])
{
    addresses[0] = vm->place.guest;
    addresses[1] = vm->place.guest6;
    return vm->lacks_ipv6 ? 1 : 2;
}

struct keeper_vm *names_of_address(struct keeper_vm *const vms[PLAN_PLACES],
                                   const struct plan_prefix *address)
{
    for (unsigned int i = 0; i < PLAN_PLACES; i++) {
        struct keeper_vm *vm = vms[i];
        struct plan_prefix own;

        if (vm == NULL)
            continue;
        own = address->family == AF_INET6 ? vm->place.guest6 : vm->place.guest;
        own.bits = address->bits;
        if (plan_overlaps(&own, address))
            return vm;
    }
    return NULL;
}

/* SPDX-License-Identifier: MIT */
/*
 * Implements the keeping of VMs' links. A link is a tap interface that is not persistent: it goes
 * with the last descriptor, that is with its launcher, however that ended, and the kernel
 * takes addresses and routes along. What is left to do then is in keeper_sweep().
 */
#include "net/keeper.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/base/sha256.h"
#include "net/keeper-state.h"
#include "net/lease.h"
#include "net/links.h"

/* A text that tells this machine and user from others, whatever the session's directories are. */
static void identity(char *buf, size_t size)
{
    cleanup_fclose FILE *f = fopen("/etc/machine-id", "re");
    char machine[40] = "";

    if (f != NULL && fgets(machine, sizeof(machine), f) != NULL)
        machine[strcspn(machine, "\n")] = '\0';
    (void)snprintf(buf, size, "%s %u", machine, (unsigned int)geteuid());
}

int keeper_init(struct keeper *keeper, struct event_loop *loop, enum place_kind kind,
                const char *directory, struct crosh_error *err)
{
    char self[64];
    uint8_t digest[SHA256_SIZE];
    struct sha256 sha;
    int code;

    *keeper = (struct keeper){.loop = loop};
    identity(self, sizeof(self));
    plan_site(self, keeper->site);
    sha256_init(&sha);
    sha256_add(&sha, directory, strlen(directory));
    sha256_finish(&sha, digest);
    /* The same after a crash, so that what was left is replaced. */
    (void)snprintf(keeper->table, sizeof(keeper->table), "crosh_%u_%02x%02x%02x%02x",
                   (unsigned int)geteuid(), digest[0], digest[1], digest[2], digest[3]);
    code = place_enter(&keeper->place, kind, err);
    if (code < 0)
        return code;
    keeper->sock = links_open(-1, err);
    if (keeper->sock != NULL)
        keeper->filter = filter_new(keeper->table, !keeper->place.is_own, err);
    if (keeper->filter == NULL) {
        keeper_fini(keeper);
        return err->code;
    }
    return 0;
}

static void forget(struct keeper *keeper, struct keeper_vm *vm)
{
    keeper->vms[vm->place.number] = NULL;
    keeper->vm_count--;
    if (keeper->on_change != NULL)
        keeper->on_change(keeper->opaque, vm, false);
    for (unsigned int i = 0; i < vm->published_count; i++)
        publish_free(vm->published[i]);
    filter_remove(keeper->filter, vm->link, &vm->place);
    free(vm);
    keeper_state_save(keeper);
}

void keeper_fini(struct keeper *keeper)
{
    for (unsigned int i = 0; i < PLAN_PLACES; i++)
        if (keeper->vms[i] != NULL)
            forget(keeper, keeper->vms[i]);
    filter_free(move_ptr(keeper->filter));
    if (keeper->sock != NULL)
        nl_socket_free(move_ptr(keeper->sock));
    place_leave(&keeper->place);
}

struct keeper_vm *keeper_find(const struct keeper *keeper, const char *name)
{
    for (unsigned int i = 0; i < PLAN_PLACES; i++)
        if (keeper->vms[i] != NULL && strcmp(keeper->vms[i]->name, name) == 0)
            return keeper->vms[i];
    return NULL;
}

void keeper_sweep(struct keeper *keeper)
{
    for (unsigned int i = 0; i < PLAN_PLACES; i++)
        if (keeper->vms[i] != NULL && !links_exists(keeper->vms[i]->link))
            forget(keeper, keeper->vms[i]);
}

/* From the range of addresses that anybody may give; the same for a name each time. */
static void make_mac(const struct keeper *keeper, struct keeper_vm *vm)
{
    uint8_t digest[SHA256_SIZE];
    struct sha256 sha;

    sha256_init(&sha);
    sha256_add(&sha, keeper->site, sizeof(keeper->site));
    sha256_add(&sha, vm->name, strlen(vm->name));
    sha256_finish(&sha, digest);
    (void)snprintf(vm->mac, sizeof(vm->mac), "%02x:%02x:%02x:%02x:%02x:%02x",
                   (digest[0] & 0xfc) | 0x02, digest[1], digest[2], digest[3], digest[4],
                   digest[5]);
}

/* The place of before, if it can be had; else one that is no other VM's either, if there is any. */
static int choose_place(struct keeper *keeper, struct keeper_vm *vm, struct crosh_error *err)
{
    cleanup_free struct plan_prefix *used = NULL;
    bool taken[PLAN_PLACES], avoided[PLAN_PLACES];
    const unsigned int preferred = plan_preferred(vm->name);
    int count = place_routes(&keeper->place, &used, err);
    struct plan_place lease;

    if (count < 0)
        return count;
    for (unsigned int i = 0; i < PLAN_PLACES; i++) {
        char link[16];

        /* Another keeper's may have that name. */
        (void)snprintf(link, sizeof(link), KEEPER_LINK_PREFIX "%u", i);
        taken[i] = keeper->vms[i] != NULL || links_exists(link);
    }
    if (lease_read(vm->name, keeper->site, &lease) && !taken[lease.number] &&
        plan_is_free(&lease, used, (size_t)count)) {
        vm->place = lease;
        return 0;
    }
    memcpy(avoided, taken, sizeof(avoided));
    lease_mark_others(vm->name, avoided);
    if (plan_choose(used, (size_t)count, avoided, preferred, keeper->site, &vm->place, NULL) == 0)
        return 0;
    return plan_choose(used, (size_t)count, taken, preferred, keeper->site, &vm->place, err);
}

struct keeper_vm *keeper_adopt(struct keeper *keeper, const char *name, unsigned int number,
                               unsigned int range, bool is_isolated)
{
    struct keeper_vm *vm = calloc(1, sizeof(*vm));

    if (vm == NULL)
        return NULL;
    (void)snprintf(vm->name, sizeof(vm->name), "%s", name);
    (void)snprintf(vm->link, sizeof(vm->link), KEEPER_LINK_PREFIX "%u", number);
    vm->place = plan_place(range, number, keeper->site);
    vm->is_isolated = is_isolated;
    make_mac(keeper, vm);
    if (keeper->vms[number] != NULL || keeper_find(keeper, name) != NULL ||
        !links_exists(vm->link) ||
        filter_add(keeper->filter, vm->link, &vm->place, is_isolated, NULL) < 0) {
        free(vm);
        return NULL;
    }
    keeper->vms[number] = vm;
    keeper->vm_count++;
    if (keeper->on_change != NULL)
        keeper->on_change(keeper->opaque, vm, true);
    return vm;
}

/* What a link must have before it is switched on. */
static void prepare_link(const struct keeper_vm *vm)
{
    static const struct {
        const char *setting, *value;
    } settings[] = {
        {"accept_ra", "0"}, {"forwarding", "1"}, {"accept_dad", "0"}}; /* nobody else is there */
    char path[80];

    for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++) {
        (void)snprintf(path, sizeof(path), "ipv6/conf/%s/%s", vm->link, settings[i].setting);
        (void)place_sysctl(path, settings[i].value);
    }
}

static void close_all(int *fd, int count)
{
    while (count > 0)
        (void)close(fd[--count]);
}

int keeper_attach(struct keeper *keeper, const Net__Attach *attach, int fd[TAP_QUEUES_MAX],
                  struct keeper_vm **vm, struct crosh_error *err)
{
    cleanup_free struct keeper_vm *new = calloc(1, sizeof(*new));
    int count;
    int code = crosh_vm_check_name(attach->vm, err);

    if (code < 0)
        return code;
    keeper_sweep(keeper);
    if (keeper_find(keeper, attach->vm) != NULL)
        return crosh_error_set(err, -EBUSY, "VM %s has its link already", attach->vm);
    if (new == NULL)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    (void)snprintf(new->name, sizeof(new->name), "%s", attach->vm);
    new->is_isolated = attach->isolated;
    make_mac(keeper, new);
    code = choose_place(keeper, new, err);
    if (code < 0)
        return code;
    (void)snprintf(new->link, sizeof(new->link), KEEPER_LINK_PREFIX "%u", new->place.number);
    count = tap_make(new->link, attach->queues, fd, err);
    if (count < 0)
        return count;
    prepare_link(new);
    code = links_configure(keeper->sock, new->link, &new->place, keeper->place.mtu, err);
    if (code == 0)
        code = filter_add(keeper->filter, new->link, &new->place, new->is_isolated, err);
    if (code < 0) {
        close_all(fd, count);
        return code;
    }
    *vm = move_ptr(new);
    keeper->vms[(*vm)->place.number] = *vm;
    keeper->vm_count++;
    keeper_state_save(keeper);
    code = lease_write((*vm)->name, &(*vm)->place);
    if (code < 0)
        (void)fprintf(stderr, "crosh-net: the address of VM %s cannot be noted: %s\n", (*vm)->name,
                      strerror(-code));
    if (keeper->on_change != NULL)
        keeper->on_change(keeper->opaque, *vm, true);
    return count;
}

int keeper_set_link(struct keeper *keeper, struct keeper_vm *vm, bool up, struct crosh_error *err)
{
    if (!up)
        return links_set_up(keeper->sock, vm->link, false, err);
    /* The kernel has dropped the routes of a link that was off. */
    return links_configure(keeper->sock, vm->link, &vm->place, keeper->place.mtu, err);
}

int keeper_publish(struct keeper *keeper, struct keeper_vm *vm, const Net__Published *what,
                   bool remove, struct crosh_error *err)
{
    unsigned int i;
    struct publish *publish;

    for (i = 0; i < vm->published_count; i++)
        if (publish_matches(vm->published[i], what))
            break;
    if (remove) {
        if (i == vm->published_count)
            return crosh_error_set(err, -ENOENT, "port %u of the host is not %s's", what->host_port,
                                   vm->name);
        publish_free(vm->published[i]);
        vm->published[i] = vm->published[--vm->published_count];
        return 0;
    }
    if (i < vm->published_count)
        return crosh_error_set(err, -EEXIST, "port %u of the host is published already",
                               what->host_port);
    if (i == PUBLISH_MAX)
        return crosh_error_set(err, -ENOSPC, "a VM has at most %u published ports", PUBLISH_MAX);
    publish = publish_new(keeper->loop, keeper->place.outside, vm->name, &vm->place, what, err);
    if (publish == NULL)
        return err->code;
    vm->published[vm->published_count++] = publish;
    return 0;
}

char *keeper_guest_text(const struct keeper *keeper, const struct keeper_vm *vm)
{
    const struct plan_place *place = &vm->place;
    char guest[PLAN_TEXT_SIZE], guest6[PLAN_TEXT_SIZE], gateway[PLAN_TEXT_SIZE],
        gateway6[PLAN_TEXT_SIZE], containers[PLAN_TEXT_SIZE], containers6[PLAN_TEXT_SIZE];
    char *text = NULL;

    if (asprintf(&text, "mac=%s,mtu=%u,ip=%s,gw=%s,ct=%s,ip6=%s,gw6=%s,ct6=%s", vm->mac,
                 keeper->place.mtu, plan_text(&place->guest, true, guest),
                 plan_text(&place->gateway, false, gateway),
                 plan_text(&place->containers, true, containers),
                 plan_text(&place->guest6, true, guest6),
                 plan_text(&place->gateway6, false, gateway6),
                 plan_text(&place->containers6, true, containers6)) < 0)
        return NULL;
    return text;
}

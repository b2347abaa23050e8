/* SPDX-License-Identifier: MIT */
/* Implements the file "vms": a line each, "NAME PLACE RANGE ISOLATED". */
#include "net/keeper-state.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/net/publish.h"
#include "lib/vm/config.h"
#include "lib/vm/runtime.h"
#include "net/links.h"

#define STATE_FILE "vms"

void keeper_state_save(const struct keeper *keeper)
{
    cleanup_fclose FILE *f = NULL;

    if (keeper->vm_count == 0) {
        (void)unlink(STATE_FILE);
        return;
    }
    f = fopen(STATE_FILE ".new", "we");
    for (unsigned int i = 0; f != NULL && i < PLAN_PLACES; i++) {
        const struct keeper_vm *vm = keeper->vms[i];

        if (vm != NULL)
            (void)fprintf(f, "%s %u %u %d\n", vm->name, vm->place.number, vm->place.range,
                          vm->is_isolated);
    }
    if (f == NULL || fflush(f) != 0 || ferror(f) || rename(STATE_FILE ".new", STATE_FILE) < 0)
        (void)fprintf(stderr, "crosh-net: the file %s cannot be written\n", STATE_FILE);
}

/* A VM's ports, as its configuration has them. */
static void publish_again(struct keeper *keeper, struct keeper_vm *vm)
{
    struct crosh_vm_config config;

    if (crosh_priv_vm_config_load(vm->name, &config, NULL) < 0)
        return;
    for (size_t i = 0; config.publish != NULL && config.publish[i] != NULL; i++) {
        Net__Published message = NET__PUBLISHED__INIT;
        struct crosh_publish what;

        if (crosh_priv_publish_parse(config.publish[i], &what, NULL) < 0)
            continue;
        message.container = what.container;
        message.bind = what.bind;
        message.host_port = what.host_port;
        message.guest_port = what.guest_port;
        message.udp = what.is_udp;
        (void)keeper_publish(keeper, vm, &message, false, NULL);
    }
    crosh_priv_vm_config_fini(&config);
}

void keeper_state_load(struct keeper *keeper)
{
    cleanup_fclose FILE *f = fopen(STATE_FILE, "re");
    char name[CROSH_VM_NAME_MAX + 1];
    unsigned int number, range;
    int isolated;

    while (f != NULL && fscanf(f, "%63s %u %u %d", name, &number, &range, &isolated) == 4) {
        struct keeper_vm *vm;

        if (crosh_vm_check_name(name, NULL) < 0 || number < PLAN_FIRST || number >= PLAN_PLACES ||
            range >= plan_range_count())
            continue;
        if (keeper->place.is_own) {
            if (crosh_priv_vm_probe(name) == CROSH_VM_ALIVE)
                place_notice(&keeper->place,
                             "VM %s lost its network with a keeper that was killed: start it again",
                             name);
            continue;
        }
        vm = keeper_adopt(keeper, name, number, range, isolated != 0);
        if (vm != NULL)
            publish_again(keeper, vm);
    }
    keeper_state_save(keeper);
}

/* SPDX-License-Identifier: MIT */
/* Implements "net publish": ports of the host's that lead to guests, kept in a VM's configuration.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <crosh/vm.h>

#include "lib/base/cleanup.h"
#include "lib/net/client.h"
#include "lib/vm/config.h"
#include "lib/vm/runtime.h"
#include "lib/vm/store.h"
#include "modules/net/listing.h"
#include "modules/net/vms.h"

#define LOCK_WAIT_MS 10000

/* "VM" or "VM/CONTAINER", and the port. */
static int read_target(const struct crosh_args *args, char vm[CROSH_VM_NAME_MAX + 1],
                       struct crosh_publish *what, struct crosh_error *err)
{
    const char *target = crosh_args_string(args, "target");
    const char *slash = strchr(target, '/');
    size_t size = slash != NULL ? (size_t)(slash - target) : strlen(target);
    int code = crosh_priv_publish_parse(crosh_args_string(args, "port"), what, err);

    if (code < 0)
        return code;
    if (size > CROSH_VM_NAME_MAX ||
        (slash != NULL && (slash[1] == '\0' || strlen(slash + 1) >= sizeof(what->container) ||
                           crosh_vm_check_name(slash + 1, NULL) < 0)))
        return crosh_error_set(err, CROSH_EUSAGE, "'%s' is neither VM nor VM/CONTAINER", target);
    memcpy(vm, target, size);
    vm[size] = '\0';
    if (slash != NULL)
        strcpy(what->container, slash + 1);
    code = crosh_vm_check_name(vm, err);
    return code < 0 ? code : crosh_priv_vm_require(vm, err);
}

/* Whether both are about one port of the host's. */
static bool is_same(const struct crosh_publish *a, const struct crosh_publish *b)
{
    const char *any = "127.0.0.1";

    return a->host_port == b->host_port && a->is_udp == b->is_udp &&
           strcmp(a->bind[0] != '\0' ? a->bind : any, b->bind[0] != '\0' ? b->bind : any) == 0;
}

/* The place in the configuration's list; -1: it is not there. */
static int position(const struct crosh_vm_config *config, const struct crosh_publish *what)
{
    for (int i = 0; config->publish != NULL && config->publish[i] != NULL; i++) {
        struct crosh_publish other;

        if (crosh_priv_publish_parse(config->publish[i], &other, NULL) == 0 &&
            is_same(&other, what))
            return i;
    }
    return -1;
}

/* A VM that runs has it now; for one that does not, the next start is soon enough. */
static int tell_keeper(const char *vm, bool remove, const struct crosh_publish *what,
                       struct crosh_error *err)
{
    struct crosh_error why = {0};
    int code = crosh_priv_net_publish(vm, remove, what, &why);

    /* No keeper, or no link of that VM: it does not run, or without a network. */
    if (code == -ENOTCONN || code == -ENOENT)
        return 0;
    if (code < 0 && err != NULL)
        *err = why;
    return code;
}

static int change(const char *vm, bool remove, const struct crosh_publish *what,
                  struct crosh_error *err)
{
    cleanup_close int lock = crosh_priv_vm_operation_lock(vm, LOCK_WAIT_MS, err);
    struct crosh_vm_config config;
    char text[CROSH_PUBLISH_TEXT];
    int at;
    int code;

    if (lock < 0)
        return lock;
    code = crosh_priv_vm_config_load(vm, &config, err);
    if (code < 0)
        return code;
    at = position(&config, what);
    if (remove && at < 0)
        code = crosh_error_set(err, -ENOENT, "port %u is not published for VM %s", what->host_port,
                               vm);
    else if (!remove && at >= 0)
        code = crosh_error_set(err, -EEXIST, "port %u is published already: %s", what->host_port,
                               config.publish[at]);
    /* First the keeper: a port that cannot be had is not noted. */
    if (code == 0)
        code = tell_keeper(vm, remove, what, err);
    if (code == 0 && remove) {
        free(config.publish[at]);
        do
            config.publish[at] = config.publish[at + 1];
        while (config.publish[at++] != NULL);
    } else if (code == 0) {
        code = crosh_priv_vm_config_add_publish(&config, crosh_priv_publish_text(what, text), err);
    }
    if (code == 0)
        code = crosh_priv_vm_config_save(vm, &config, err);
    crosh_priv_vm_config_fini(&config);
    return code;
}

static int run_change(const struct crosh_args *args, bool remove, struct crosh_error *err)
{
    char vm[CROSH_VM_NAME_MAX + 1];
    struct crosh_publish what;
    int code = read_target(args, vm, &what, err);

    return code < 0 ? code : change(vm, remove, &what, err);
}

int net_run_publish(struct crosh_context *ctx, const struct crosh_args *args,
                    struct crosh_error *err)
{
    (void)ctx;
    return run_change(args, false, err);
}

int net_run_unpublish(struct crosh_context *ctx, const struct crosh_args *args,
                      struct crosh_error *err)
{
    (void)ctx;
    return run_change(args, true, err);
}

/* Whether the keeper has it now. */
static bool is_served(const Net__Listing *listing, const char *vm, const struct crosh_publish *what)
{
    for (size_t i = 0; listing != NULL && i < listing->n_vms; i++) {
        const Net__Vm *other = listing->vms[i];

        for (size_t j = 0; strcmp(other->name, vm) == 0 && j < other->n_published; j++) {
            const Net__Published *published = other->published[j];
            struct crosh_publish served = {.host_port = published->host_port,
                                           .is_udp = published->udp};

            (void)snprintf(served.bind, sizeof(served.bind), "%s", published->bind);
            if (is_same(&served, what))
                return true;
        }
    }
    return false;
}

static void put_published(struct listing *l, const char *vm, const struct crosh_vm_config *config,
                          const Net__Listing *listing)
{
    for (size_t i = 0; config->publish != NULL && config->publish[i] != NULL; i++) {
        struct crosh_publish what;

        if (crosh_priv_publish_parse(config->publish[i], &what, NULL) < 0)
            continue;
        listing_text(l, vm);
        listing_text(l, what.container);
        listing_text(l, what.bind[0] != '\0' ? what.bind : "127.0.0.1");
        listing_number(l, what.host_port);
        listing_number(l, what.guest_port);
        listing_text(l, what.is_udp ? "udp" : "tcp");
        listing_text(l, is_served(listing, vm, &what) ? "served" : "stopped");
        listing_row_end(l);
    }
}

int net_run_published(struct crosh_context *ctx, const struct crosh_args *args,
                      struct crosh_error *err)
{
    static const char *const headers[] = {"VM",         "CONTAINER", "ADDRESS", "HOST PORT",
                                          "GUEST PORT", "PROTOCOL",  "STATE",   NULL};
    char **names = crosh_vm_names(err);
    Net__Response *response;
    struct listing l;

    if (names == NULL)
        return err->code;
    response = crosh_priv_net_list(NULL);
    listing_begin(&l, args, headers);
    for (size_t i = 0; names[i] != NULL; i++) {
        struct crosh_vm_config config;

        if (crosh_priv_vm_config_load(names[i], &config, NULL) < 0)
            continue;
        put_published(&l, names[i], &config, response != NULL ? response->listing : NULL);
        crosh_priv_vm_config_fini(&config);
    }
    crosh_priv_net_response_free(response);
    crosh_strv_free(names);
    return listing_end(&l, ctx, 0, err);
}

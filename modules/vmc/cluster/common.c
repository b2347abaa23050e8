/* SPDX-License-Identifier: MIT */
/* A VM's LXD before, in and after a cluster. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/cleanup.h"
#include "lib/base/deadline.h"
#include "lib/net/client.h"
#include "modules/vmc/cluster/cluster.h"

/*
 * LXD's networks are the cluster's: a bridge that it manages has the same addresses in all members.
 * The host however routes to each VM a network of its own, so that containers are reached from
 * the host and from each other wherever they are. So the members' containers are on a bridge
 * that LXD does not manage; guest/image/termina/cluster makes it.
 */
#define SCRIPT         "/usr/lib/crosh/cluster"
#define OWN_BRIDGE     "ctbr0"
#define MANAGED_BRIDGE "lxdbr0"
#define PROFILE        "/1.0/profiles/default"
#define ANSWER_MS      120000

int cluster_self(struct lxd *lxd, struct cluster_self *self, struct crosh_error *err)
{
    json_t *object = NULL;
    int r = lxd_get(lxd, &object, err, "/1.0/cluster");

    *self = (struct cluster_self){.is_member = false};
    if (r < 0)
        return r;
    self->is_member = json_is_true(json_object_get(object, "enabled"));
    lxd_text(object, "server_name", self->name, sizeof(self->name));
    json_decref(object);
    if (self->is_member && !lxd_name_is_valid(self->name))
        return crosh_error_set(err, -EBADMSG, "LXD has a name that makes no sense");
    return 0;
}

int cluster_members(struct lxd *lxd, struct lxd_member **members, size_t *count,
                    struct crosh_error *err)
{
    json_t *list = NULL;
    int r = lxd_get(lxd, &list, err, "/1.0/cluster/members?recursion=1");

    if (r == 0)
        r = lxd_members_parse(members, count, list, err);
    json_decref(list);
    return r;
}

const char *cluster_name(const struct crosh_args *args, struct crosh_error *err)
{
    const char *name = crosh_args_string(args, "name");

    if (name == NULL)
        name = crosh_args_string(args, "vm");
    if (lxd_name_is_valid(name))
        return name;
    (void)crosh_error_set(err, CROSH_EUSAGE, "'%s' cannot be the name of a cluster's member", name);
    (void)crosh_error_hint(err, "give it one that begins with a letter: --name NAME");
    return NULL;
}

/* The address that the VM has from the keeper. */
static int given_address(const char *vm, char *address, size_t size, struct crosh_error *err)
{
    Net__Response *response = crosh_priv_net_list(err);
    int r = -ENOENT;

    for (size_t i = 0; response != NULL && i < response->listing->n_vms; i++) {
        const Net__Vm *entry = response->listing->vms[i];

        if (strcmp(entry->name, vm) != 0)
            continue;
        r = entry->isolated ? -EACCES : 0;
        (void)snprintf(address, size, "%.*s:%d", (int)strcspn(entry->address, "/"), entry->address,
                       LXD_PORT);
    }
    crosh_priv_net_response_free(response);
    if (r == 0)
        return 0;
    (void)crosh_error_set(err, r, "VM %s has no network in which other VMs reach it", vm);
    return crosh_error_hint(err, "stop it and start it with --network nat");
}

int cluster_address(const struct crosh_args *args, const char *vm,
                    char address[sizeof(((struct lxd_member *)0)->address)],
                    struct crosh_error *err)
{
    const size_t size = sizeof(((struct lxd_member *)0)->address);
    const char *said = crosh_args_string(args, "address");
    int length;

    if (said == NULL)
        return given_address(vm, address, size, err);
    length = lxd_address_is_valid(said) ? snprintf(address, size, "%s", said)
                                        : snprintf(address, size, "%s:%d", said, LXD_PORT);
    if (length >= (int)size || !lxd_address_is_valid(address) ||
        strncmp(address, "0.0.0.0:", 8) == 0 || strncmp(address, "[::]:", 5) == 0)
        return crosh_error_set(err, CROSH_EUSAGE, "--address: not an address, such as 192.0.2.1");
    return 0;
}

int cluster_script(struct container_work *work, const char *verb, struct crosh_error *err)
{
    const char *vm = lxd_vm(work->lxd);
    const char *const words[] = {"vsh", "--no-input", "--no-terminal", vm, "--", SCRIPT,
                                 verb,  NULL};
    int r = crosh_run_words(work->ctx, words, err);

    if (r == 126 || r == 127) {
        (void)crosh_error_set(err, -ENOTSUP, "the image of VM %s knows no clusters", vm);
        return crosh_error_hint(err, "build it anew: vmc image build termina");
    }
    if (r > 0)
        return crosh_error_set(err, -EREMOTEIO, "VM %s: \"" SCRIPT " %s\" ended with status %d", vm,
                               verb, r);
    return r;
}

/* ---- The default profile and what it uses ---- */

/* Replaces the profile's devices: the new ones are taken over. */
static int put_devices(struct lxd *lxd, const json_t *profile, json_t *devices,
                       struct crosh_error *err)
{
    json_t *config = json_object_get(profile, "config");
    const char *description = json_string_value(json_object_get(profile, "description"));
    json_t *body =
        json_pack("{s:s, s:O, s:o}", "description", description != NULL ? description : "",
                  "config", config, "devices", devices);
    int r = body != NULL ? lxd_do(lxd, "PUT", body, deadline_in(ANSWER_MS), err, PROFILE)
                         : crosh_error_set(err, -EBADMSG, "LXD's default profile makes no sense");

    json_decref(body);
    return r;
}

/* The devices without those cards that are on one of our bridges, or the managed one. */
static json_t *without_cards(const json_t *profile)
{
    json_t *devices = json_deep_copy(json_object_get(profile, "devices"));
    const char *name;
    json_t *device;
    void *next;

    json_object_foreach_safe(devices, next, name, device)
    {
        const char *network = json_string_value(json_object_get(device, "network"));
        const char *parent = json_string_value(json_object_get(device, "parent"));

        if ((network != NULL && strcmp(network, MANAGED_BRIDGE) == 0) ||
            (parent != NULL &&
             (strcmp(parent, OWN_BRIDGE) == 0 || strcmp(parent, MANAGED_BRIDGE) == 0)))
            (void)json_object_del(devices, name);
    }
    return devices;
}

/* DELETE, for what need not be there. */
static int forget(struct lxd *lxd, const char *path, struct crosh_error *err)
{
    int r = lxd_do(lxd, "DELETE", NULL, deadline_in(ANSWER_MS), err, "%s", path);

    return r == -ENOENT ? 0 : r;
}

/* The profile without its cards on our bridges, and then LXD without the managed bridge. */
static int drop_managed(struct lxd *lxd, json_t **profile, struct crosh_error *err)
{
    int r = lxd_get(lxd, profile, err, PROFILE);

    if (r == 0)
        r = put_devices(lxd, *profile, without_cards(*profile), err);
    if (r == 0)
        r = forget(lxd, "/1.0/networks/" MANAGED_BRIDGE, err);
    if (r < 0)
        return crosh_error_wrap(err, "LXD cannot do without its network " MANAGED_BRIDGE);
    return 0;
}

int cluster_own_network(struct container_work *work, struct crosh_error *err)
{
    json_t *profile = NULL, *devices;
    int r;

    progress_begin(&work->progress, "network");
    r = drop_managed(work->lxd, &profile, err);
    if (r == 0)
        r = cluster_script(work, "up", err);
    if (r == 0) {
        devices = without_cards(profile);
        (void)json_object_set_new(devices, "eth0",
                                  json_pack("{s:s, s:s, s:s, s:s}", "type", "nic", "name", "eth0",
                                            "nictype", "bridged", "parent", OWN_BRIDGE));
        r = put_devices(work->lxd, profile, devices, err);
    }
    json_decref(profile);
    if (r < 0)
        progress_fail(&work->progress);
    else
        progress_done(&work->progress, -1);
    return r;
}

static int forget_all(struct lxd *lxd, const char *path, struct crosh_error *err)
{
    json_t *list = NULL, *item;
    size_t i;
    int r = lxd_get(lxd, &list, err, "%s", path);

    json_array_foreach(list, i, item)
    {
        const char *each = json_string_value(item);

        if (r == 0 && each != NULL && strncmp(each, path, strlen(path)) == 0)
            r = forget(lxd, each, err);
    }
    json_decref(list);
    return r;
}

int cluster_empty(struct container_work *work, struct crosh_error *err)
{
    json_t *profile = NULL;
    int r;

    progress_begin(&work->progress, "storage");
    r = lxd_get(work->lxd, &profile, err, PROFILE);
    if (r == 0)
        r = put_devices(work->lxd, profile, json_object(), err);
    if (r == 0)
        r = forget(work->lxd, "/1.0/networks/" MANAGED_BRIDGE, err);
    if (r == 0)
        r = forget_all(work->lxd, "/1.0/images", err);
    if (r == 0)
        r = forget_all(work->lxd, "/1.0/storage-pools", err);
    json_decref(profile);
    if (r < 0)
        progress_fail(&work->progress);
    else
        progress_done(&work->progress, -1);
    return r;
}

/* ---- The way back ---- */

/* LXD listens nowhere but on its socket. */
static int close_ports(struct lxd *lxd, struct crosh_error *err)
{
    json_t *body = json_pack("{s:{s:s, s:s}}", "config", "cluster.https_address", "",
                             "core.https_address", "");
    int r = lxd_do(lxd, "PATCH", body, deadline_in(ANSWER_MS), err, "/1.0");

    json_decref(body);
    return r;
}

int cluster_alone(struct container_work *work, struct crosh_error *err)
{
    json_t *profile = NULL;
    int r;

    lxd_ignore_interrupt(work->lxd);
    progress_begin(&work->progress, "alone");
    r = close_ports(work->lxd, err);
    if (r == 0)
        r = lxd_get(work->lxd, &profile, err, PROFILE);
    /* The script brings the card of LXD's own bridge back, and the storage if it is gone. */
    if (r == 0)
        r = put_devices(work->lxd, profile, without_cards(profile), err);
    if (r == 0)
        r = cluster_script(work, "alone", err);
    json_decref(profile);
    if (r < 0)
        progress_fail(&work->progress);
    else
        progress_done(&work->progress, -1);
    return r;
}

void cluster_undo(struct container_work *work, struct crosh_error *err)
{
    struct crosh_error why = *err, inner = {0};
    struct cluster_self self;

    if (work->progress.stage != NULL)
        progress_fail(&work->progress);
    lxd_ignore_interrupt(work->lxd);
    if (cluster_self(work->lxd, &self, &inner) == 0 && !self.is_member &&
        cluster_alone(work, &inner) == 0) {
        *err = why;
        return;
    }
    *err = why;
    (void)crosh_error_hint(
        err, "VM %s is half prepared (%s); to have it as it was: vmc cluster leave %s",
        lxd_vm(work->lxd), inner.code < 0 ? inner.message : "it may have joined",
        lxd_vm(work->lxd));
}

int cluster_finish(struct container_work *work, const char *id, struct crosh_error *err)
{
    int r = container_wait(work, "cluster", id, NULL, err);

    if (r == -EINTR || r == -ETIMEDOUT)
        return crosh_error_hint(err, "LXD goes on with it; see: vmc cluster list %s",
                                lxd_vm(work->lxd));
    if (r < 0) {
        (void)crosh_error_wrap(err, "VM %s is no member", lxd_vm(work->lxd));
        cluster_undo(work, err);
    }
    return r;
}

/* How many of what path lists. */
static int count_of(struct lxd *lxd, const char *path, size_t *count, struct crosh_error *err)
{
    json_t *list = NULL;
    int r = lxd_get(lxd, &list, err, "%s", path);

    *count = json_array_size(list);
    json_decref(list);
    return r;
}

int cluster_check_empty(struct lxd *lxd, struct crosh_error *err)
{
    static const struct {
        const char *path;
        size_t allowed;
        const char *what;
    } kinds[] = {
        {"/1.0/instances?all-projects=true", 0, "containers"},
        {"/1.0/projects", 1, "projects"},
        {"/1.0/storage-pools", 1, "storage pools"},
        {"/1.0/storage-pools/default/volumes/custom", 0, "volumes"},
    };

    for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
        size_t count;
        int r = count_of(lxd, kinds[i].path, &count, err);

        if (r == -ENOENT)
            continue;
        if (r < 0)
            return r;
        if (count <= kinds[i].allowed)
            continue;
        (void)crosh_error_set(err, -EBUSY, "VM %s has %s, which would be lost", lxd_vm(lxd),
                              kinds[i].what);
        return crosh_error_hint(err,
                                "take along what is worth it (vmc container export), and remove "
                                "it (vmc container delete)");
    }
    return 0;
}

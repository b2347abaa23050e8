/* SPDX-License-Identifier: MIT */
/* "vmc cluster list": the members of a VM's cluster, or of those of all running VMs. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <crosh/vm.h>

#include "lib/base/cleanup.h"
#include "modules/vmc/cluster/cluster.h"
#include "modules/vmc/figures.h"

/* One VM of several is not waited for long. */
#define ANSWER_MS 20000

static void lower(char *text)
{
    for (; *text != '\0'; text++)
        *text = *text >= 'A' && *text <= 'Z' ? (char)(*text - 'A' + 'a') : *text;
}

/* The cluster by its certificate, the same of all its members: 12 digits tell them apart. */
static int fingerprint_of(struct lxd *lxd, char fingerprint[13], struct crosh_error *err)
{
    json_t *server = NULL;
    int r = lxd_get(lxd, &server, err, "/1.0");
    char text[80];

    lxd_text(json_object_get(server, "environment"), "certificate_fingerprint", text, sizeof(text));
    (void)snprintf(fingerprint, 13, "%.12s", text);
    json_decref(server);
    return r;
}

struct listing {
    json_t *rows; /* of the JSON */
    struct crosh_table *table;
};

static bool is_listed(const struct listing *listing, const char *fingerprint)
{
    const json_t *row;
    size_t i;

    json_array_foreach(listing->rows, i, row)
    {
        const char *cluster = json_string_value(json_object_get(row, "cluster"));

        if (cluster != NULL && strcmp(cluster, fingerprint) == 0)
            return true;
    }
    return false;
}

static void add_member(struct listing *listing, struct lxd_member *member, const char *fingerprint)
{
    const char *cells[] = {member->name,
                           member->status,
                           member->roles[0] != '\0' ? member->roles : "-",
                           member->address,
                           member->is_online ? "-" : member->message,
                           NULL};

    lower(member->status);
    crosh_table_row(listing->table, cells);
    (void)json_array_append_new(
        listing->rows, json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "cluster", fingerprint, "name",
                                 member->name, "state", member->status, "roles", member->roles,
                                 "address", member->address, "message", member->message));
}

static int add_cluster(struct listing *listing, struct lxd *lxd, struct crosh_error *err)
{
    cleanup_free struct lxd_member *members = NULL;
    char fingerprint[13];
    size_t count = 0;
    int r = fingerprint_of(lxd, fingerprint, err);

    if (r < 0 || is_listed(listing, fingerprint))
        return r;
    r = cluster_members(lxd, &members, &count, err);
    for (size_t i = 0; i < count; i++)
        add_member(listing, &members[i], fingerprint);
    return r;
}

static int of_vm(struct listing *listing, struct crosh_context *ctx, const struct crosh_args *args,
                 struct crosh_error *err)
{
    struct lxd *lxd = container_open(ctx, args, err);
    struct cluster_self self;
    int r;

    if (lxd == NULL)
        return err->code;
    r = cluster_self(lxd, &self, err);
    if (r == 0 && !self.is_member) {
        (void)crosh_error_set(err, -EBUSY, "VM %s is not a member of a cluster", lxd_vm(lxd));
        r = crosh_error_hint(err, "see: vmc cluster --help");
    }
    if (r == 0)
        r = add_cluster(listing, lxd, err);
    lxd_close(lxd);
    return r;
}

/* Those that answer; one that does not is another command's matter, but said. */
static int of_all(struct listing *listing, struct crosh_context *ctx, struct crosh_error *err)
{
    char **names = crosh_vm_names(err);

    if (names == NULL)
        return err->code;
    for (char **name = names; *name != NULL; name++) {
        struct crosh_error why = {0};
        struct cluster_self self;
        struct lxd *lxd;
        int r;

        if (!container_may_ask(*name))
            continue;
        lxd = lxd_new(*name, ANSWER_MS, crosh_interrupt_fd(ctx));
        r = lxd != NULL ? cluster_self(lxd, &self, &why) : -ENOMEM;
        if (r == 0 && self.is_member)
            r = add_cluster(listing, lxd, &why);
        lxd_close(lxd);
        /* VMs without LXD are none of ours. */
        if (r < 0 && r != -EREMOTEIO && r != -ECONNREFUSED)
            crosh_warn(ctx, "%s", why.message);
        if (r == -EINTR)
            break;
    }
    crosh_strv_free(names);
    return crosh_is_interrupted(ctx) ? crosh_error_set(err, -EINTR, "interrupted") : 0;
}

int cluster_list(struct crosh_context *ctx, const struct crosh_args *args, struct crosh_error *err)
{
    static const char *const headers[] = {"MEMBER", "STATE", "ROLES", "ADDRESS", "MESSAGE", NULL};
    struct listing listing = {.rows = json_array(), .table = crosh_table_new(headers)};
    int r = crosh_args_string(args, "vm") != NULL ? of_vm(&listing, ctx, args, err)
                                                  : of_all(&listing, ctx, err);

    if (r == 0 && crosh_args_has(args, "json"))
        r = figures_print_json(crosh_stdout(ctx), json_incref(listing.rows), err);
    else if (r == 0)
        crosh_table_print(listing.table, ctx);
    crosh_table_free(listing.table);
    json_decref(listing.rows);
    return r;
}

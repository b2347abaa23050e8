/* SPDX-License-Identifier: MIT */
/* "vmc cluster create": a VM's LXD becomes a cluster's first member, with all that it has. */
#include <errno.h>
#include <stdio.h>

#include "lib/base/cleanup.h"
#include "lib/base/deadline.h"
#include "modules/vmc/cluster/cluster.h"

static int listen_at(struct lxd *lxd, const char *address, int64_t deadline,
                     struct crosh_error *err)
{
    json_t *body = json_pack("{s:{s:s, s:s}}", "config", "core.https_address", address,
                             "cluster.https_address", address);
    int r = lxd_do(lxd, "PATCH", body, deadline, err, "/1.0");

    json_decref(body);
    return r < 0 ? crosh_error_wrap(err, "LXD cannot be reached at %s", address) : 0;
}

static int begin(struct container_work *work, const char *name, const char *address, char *id,
                 struct crosh_error *err)
{
    json_t *body;
    int r = cluster_own_network(work, err);

    if (r == 0)
        r = listen_at(work->lxd, address, work->deadline, err);
    if (r < 0)
        return r;
    body = json_pack("{s:s, s:b}", "server_name", name, "enabled", true);
    r = lxd_send(work->lxd, "PUT", body, id, err, "/1.0/cluster");
    json_decref(body);
    return r;
}

int cluster_create(struct crosh_context *ctx, const struct crosh_args *args,
                   struct crosh_error *err)
{
    char address[sizeof(((struct lxd_member *)0)->address)], id[LXD_OPERATION_ID_SIZE] = "";
    const char *vm = crosh_args_string(args, "vm");
    const char *name = cluster_name(args, err);
    struct lxd *lxd = name != NULL ? container_open(ctx, args, err) : NULL;
    struct container_work work;
    struct cluster_self self;
    int r;

    if (lxd == NULL)
        return err->code;
    container_work_init(&work, ctx, lxd,
                        deadline_in(crosh_args_number(args, "timeout", 600) * 1000));
    r = cluster_self(lxd, &self, err);
    if (r == 0 && self.is_member) {
        (void)crosh_error_set(err, -EEXIST, "VM %s is a member of a cluster already", vm);
        r = crosh_error_hint(err, "see: vmc cluster list %s", vm);
    }
    if (r == 0)
        r = cluster_address(args, vm, address, err);
    if (r == 0) {
        r = begin(&work, name, address, id, err);
        if (r < 0)
            cluster_undo(&work, err);
    }
    if (r == 0 && id[0] != '\0')
        r = cluster_finish(&work, id, err);
    lxd_close(lxd);
    return r;
}

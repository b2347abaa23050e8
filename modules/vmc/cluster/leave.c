/* SPDX-License-Identifier: MIT */
/* "vmc cluster leave" and "remove": the end of a membership, by the member or without it. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/cleanup.h"
#include "lib/base/deadline.h"
#include "lib/lxd/instance.h"
#include "modules/vmc/cluster/cluster.h"

#define RESTART_MS 250

/* The names of the containers of a member, as an error. */
static int refuse_containers(struct lxd *lxd, const struct cluster_self *self, bool is_last,
                             struct crosh_error *err)
{
    cleanup_free struct lxd_instance *instances = NULL;
    char names[256] = "";
    json_t *list = NULL;
    size_t count = 0, used = 0;
    int r = lxd_get(lxd, &list, err, "/1.0/instances?recursion=1&all-projects=true");

    if (r == 0)
        r = lxd_instances_parse(&instances, &count, list, err);
    json_decref(list);
    for (size_t i = 0; i < count; i++) {
        if (strcmp(instances[i].location, self->name) != 0 ||
            used + strlen(instances[i].name) + sizeof(", ") > sizeof(names))
            continue;
        used =
            (size_t)(stpcpy(stpcpy(names + used, used > 0 ? ", " : ""), instances[i].name) - names);
    }
    if (r < 0 || used == 0)
        return r;
    (void)crosh_error_set(err, -EBUSY, "containers are on VM %s: %s", lxd_vm(lxd), names);
    if (is_last)
        return crosh_error_hint(err, "it is the cluster's last member, with which they would go: "
                                     "vmc container export, delete");
    return crosh_error_hint(err,
                            "stop them and move them to another member: vmc container move %s "
                            "CONTAINER MEMBER; or delete them",
                            lxd_vm(lxd));
}

/* LXD starts again when it has left, and then is no member. */
static int await_alone(struct container_work *work, struct crosh_error *err)
{
    for (;;) {
        struct cluster_self self;
        int r = cluster_self(work->lxd, &self, err);

        if (r == 0 && !self.is_member)
            return 0;
        if (r < 0 && r != CROSH_ELOST && r != -EREMOTEIO && r != -ECONNREFUSED)
            return r;
        if (deadline_now() >= work->deadline)
            return crosh_error_set(err, -ETIMEDOUT, "LXD of VM %s does not come back",
                                   lxd_vm(work->lxd));
        (void)poll(NULL, 0, RESTART_MS);
    }
}

/* The request that ends the membership. LXD may be gone before its answer comes. */
static int resign(struct container_work *work, const struct cluster_self *self, bool is_last,
                  struct crosh_error *err)
{
    json_t *body = NULL;
    int r;

    if (!is_last) {
        r = lxd_do(work->lxd, "DELETE", NULL, work->deadline, err, "/1.0/cluster/members/%s",
                   self->name);
    } else {
        body = json_pack("{s:s, s:b}", "server_name", "", "enabled", false);
        r = lxd_do(work->lxd, "PUT", body, work->deadline, err, "/1.0/cluster");
        json_decref(body);
    }
    return r == CROSH_ELOST ? 0 : r;
}

static int leave(struct container_work *work, const struct cluster_self *self,
                 struct crosh_error *err)
{
    struct lxd_member *members = NULL;
    size_t count = 0;
    int r = cluster_members(work->lxd, &members, &count, err);

    /* Whose votes are missed already would then decide. */
    for (size_t i = 0; i < count && r == 0; i++) {
        if (members[i].is_online || strcmp(members[i].name, self->name) == 0)
            continue;
        (void)crosh_error_set(err, -EBUSY, "member %s is %s: without both the cluster may stop",
                              members[i].name, members[i].status);
        r = crosh_error_hint(err, "start it first, or forget it: vmc cluster remove %s %s",
                             lxd_vm(work->lxd), members[i].name);
    }
    free(members);
    if (r == 0)
        r = refuse_containers(work->lxd, self, count == 1, err);
    if (r < 0)
        return r;
    /* From here on there is only forward. */
    lxd_ignore_interrupt(work->lxd);
    /* With the others LXD does this by itself. */
    r = count == 1 ? cluster_empty(work, err) : 0;
    if (r < 0)
        return r;
    progress_begin(&work->progress, "cluster");
    r = resign(work, self, count == 1, err);
    if (r == 0)
        r = await_alone(work, err);
    if (r < 0)
        progress_fail(&work->progress);
    else
        progress_done(&work->progress, -1);
    return r;
}

/* Whether an earlier command left the VM between its two states. */
static int is_half_way(struct lxd *lxd, bool *is_so, struct crosh_error *err)
{
    struct crosh_error inner = {0};
    json_t *server = NULL, *object = NULL;
    int r = lxd_get(lxd, &server, err, "/1.0");

    *is_so = json_object_get(json_object_get(server, "config"), "cluster.https_address") != NULL;
    json_decref(server);
    if (r < 0 || *is_so)
        return r;
    r = lxd_get(lxd, &object, &inner, "/1.0/networks/lxdbr0");
    *is_so = r == -ENOENT;
    json_decref(object);
    return 0;
}

int cluster_leave(struct crosh_context *ctx, const struct crosh_args *args, struct crosh_error *err)
{
    struct lxd *lxd = container_open(ctx, args, err);
    bool needs_work = true;
    struct container_work work;
    struct cluster_self self;
    int r;

    if (lxd == NULL)
        return err->code;
    container_work_init(&work, ctx, lxd,
                        deadline_in(crosh_args_number(args, "timeout", 600) * 1000));
    r = cluster_self(lxd, &self, err);
    if (r == 0 && self.is_member)
        r = leave(&work, &self, err);
    else if (r == 0)
        r = is_half_way(lxd, &needs_work, err);
    if (r == 0 && !needs_work)
        r = crosh_error_set(err, -EBUSY, "VM %s is not a member of a cluster", lxd_vm(lxd));
    if (r == 0) {
        r = cluster_alone(&work, err);
        if (r < 0)
            (void)crosh_error_hint(err, "once more: vmc cluster leave %s", lxd_vm(lxd));
    }
    lxd_close(lxd);
    return r;
}

/* ---- A member that is dead ---- */

static int check_dead(struct lxd *lxd, const char *name, struct crosh_error *err)
{
    struct lxd_member *members = NULL;
    size_t count = 0, i;
    int r = cluster_members(lxd, &members, &count, err);

    for (i = 0; i < count && strcmp(members[i].name, name) != 0; i++)
        ;
    if (r == 0 && i == count)
        r = crosh_error_set(err, -ENOENT, "the cluster has no member %s", name);
    if (r == 0 && members[i].is_online) {
        (void)crosh_error_set(err, -EBUSY, "member %s is alive", name);
        r = crosh_error_hint(err, "it leaves by itself: vmc cluster leave VM, on its host");
    }
    free(members);
    return r;
}

int cluster_remove(struct crosh_context *ctx, const struct crosh_args *args,
                   struct crosh_error *err)
{
    const char *name = crosh_args_string(args, "member");
    struct lxd *lxd;
    char question[160];
    int r;

    if (!lxd_name_is_valid(name))
        return crosh_error_set(err, CROSH_EUSAGE, "'%s' cannot be the name of a cluster's member",
                               name);
    lxd = container_open(ctx, args, err);
    if (lxd == NULL)
        return err->code;
    r = check_dead(lxd, name, err);
    if (r == 0 && !crosh_args_has(args, "yes")) {
        (void)snprintf(question, sizeof(question), "forget member %s with all its containers?",
                       name);
        if (!crosh_is_interactive(ctx)) {
            (void)crosh_error_set(err, CROSH_EUSAGE, "member %s would be forgotten for ever", name);
            r = crosh_error_hint(err, "say so with -y");
        } else if (!crosh_confirm(ctx, question)) {
            r = CROSH_EXIT_FAILURE;
        }
    }
    if (r == 0)
        r = lxd_do(lxd, "DELETE", NULL, deadline_in(crosh_args_number(args, "timeout", 600) * 1000),
                   err, "/1.0/cluster/members/%s?force=1", name);
    lxd_close(lxd);
    return r;
}

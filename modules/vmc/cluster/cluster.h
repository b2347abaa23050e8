/* SPDX-License-Identifier: MIT */
/* What the commands of "vmc cluster" share: a VM's LXD as a member, its network and its way back.
 */
#ifndef VMC_CLUSTER_H
#define VMC_CLUSTER_H

#include <stdbool.h>

#include <crosh/command.h>

#include "lib/lxd/cluster.h"
#include "modules/vmc/container/container.h"

/* The commands, as their table (command.c) finds them. */
crosh_run_fn cluster_create;                /* create.c */
crosh_run_fn cluster_join, cluster_token;   /* join.c */
crosh_run_fn cluster_leave, cluster_remove; /* leave.c */
crosh_run_fn cluster_list;                  /* list.c */

/* What LXD says of its own membership. */
struct cluster_self {
    bool is_member;
    char name[LXD_NAME_MAX + 1]; /* of a member; LXD takes no other as another's target */
};

int cluster_self(struct lxd *lxd, struct cluster_self *self, struct crosh_error *err);

/* The cluster's members, *count of them, the caller's to free. */
int cluster_members(struct lxd *lxd, struct lxd_member **members, size_t *count,
                    struct crosh_error *err);

/* The VM's name if a member can have it, or what --name says; NULL with err filled. */
const char *cluster_name(const struct crosh_args *args, struct crosh_error *err);

/*
 * Where the other members find this VM: what --address says, else the address that the keeper of
 * the VMs' network has given it; with LXD's port where none is said.
 */
int cluster_address(const struct crosh_args *args, const char *vm,
                    char address[sizeof(((struct lxd_member *)0)->address)],
                    struct crosh_error *err);

/*
 * Has the VM's containers use a bridge of the VM's own instead of the one that LXD manages, as a
 * stage. Again: nothing.
 */
int cluster_own_network(struct container_work *work, struct crosh_error *err);

/* Has LXD forget its profile's devices, its images, its managed network and its storage. */
int cluster_empty(struct container_work *work, struct crosh_error *err);

/* The VM's LXD as it is in a VM that never saw a cluster; it is no member, and no interruption
   ends this. */
int cluster_alone(struct container_work *work, struct crosh_error *err);

/*
 * Waits, as a stage, for the operation by which LXD becomes a member. It cannot be stopped any
 * more: with -EINTR and -ETIMEDOUT it goes on, which the error says; after a failure the VM is as
 * it was.
 */
int cluster_finish(struct container_work *work, const char *id, struct crosh_error *err);

/* After a failure: as cluster_alone(), with the failure left in err. */
void cluster_undo(struct container_work *work, struct crosh_error *err);

/* Refuses unless nothing is in the VM's LXD that would be lost. */
int cluster_check_empty(struct lxd *lxd, struct crosh_error *err);

/* Runs "cluster VERB" of the image in the VM. */
int cluster_script(struct container_work *work, const char *verb, struct crosh_error *err);

#endif

/* SPDX-License-Identifier: MIT */
/* Containers as LXD describes them. */
#ifndef CROSH_LXD_INSTANCE_H
#define CROSH_LXD_INSTANCE_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include <crosh/error.h>

#include "lib/lxd/names.h"

/* More than a VM can run; a list that is longer is refused. */
#define LXD_INSTANCES_MAX 4096
#define LXD_ADDRESSES_MAX 8

struct lxd_instance {
    char name[LXD_NAME_MAX + 1];
    char status[24];                 /* "Running", "Stopped", "Frozen", "Error", ... */
    char location[LXD_NAME_MAX + 1]; /* the cluster's member that has it; empty: no cluster */
    char image[128];                 /* what it was made from: the image's description */
    char created[40];
    char last_used[40]; /* empty: never */
    bool is_running;
    bool is_privileged;
    size_t snapshot_count;
    /* Addresses of the world beyond the container, IPv4 before IPv6. */
    char addresses[LXD_ADDRESSES_MAX][48];
    size_t address_count;
    /* Of one that runs; 0: not known. */
    int64_t pid, processes;
    int64_t memory_bytes, swap_bytes, disk_bytes, cpu_ns;
    uint64_t received_bytes, sent_bytes; /* by all its cards since it started */
};

/*
 * Parses what LXD gives as a full instance ("recursion=2"), or one without its state and
 * snapshots. -EBADMSG when it is none, or has a name that no instance can have.
 */
int lxd_instance_parse(struct lxd_instance *instance, const json_t *object,
                       struct crosh_error *err);

/*
 * The same for a list of them, sorted by name: *count in *instances, which the caller frees.
 * Those that are no containers (LXD's virtual machines) are left out.
 */
int lxd_instances_parse(struct lxd_instance **instances, size_t *count, const json_t *list,
                        struct crosh_error *err);

/* The text of a key of its configuration, what profiles say included; NULL: it has none. As LXD
   gave it. */
const char *lxd_instance_config(const json_t *object, const char *key);

#endif

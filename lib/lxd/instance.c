/* SPDX-License-Identifier: MIT */
/* Parses LXD's descriptions of containers. */
#include "lib/lxd/instance.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/lxd/reply.h"

/* A time that LXD writes for "never". */
#define NEVER_1 "0001-01-01"
#define NEVER_2 "1970-01-01"
/* What LXD calls the place of all containers when it is in no cluster. */
#define NO_LOCATION "none"

static int no_sense(struct crosh_error *err)
{
    return crosh_error_set(err, -EBADMSG, "LXD described a container in a way that makes no sense");
}

static int64_t number(const json_t *object, const char *key)
{
    json_int_t value = json_integer_value(json_object_get(object, key));

    return value > 0 ? value : 0;
}

const char *lxd_instance_config(const json_t *object, const char *key)
{
    const char *text =
        json_string_value(json_object_get(json_object_get(object, "expanded_config"), key));

    if (text == NULL)
        text = json_string_value(json_object_get(json_object_get(object, "config"), key));
    return text;
}

static void add_addresses(struct lxd_instance *instance, const json_t *interface,
                          const char *family)
{
    const json_t *address;
    size_t i;

    json_array_foreach(json_object_get(interface, "addresses"), i, address)
    {
        char what[16], scope[16];

        lxd_text(address, "family", what, sizeof(what));
        lxd_text(address, "scope", scope, sizeof(scope));
        if (strcmp(what, family) != 0 || strcmp(scope, "global") != 0 ||
            instance->address_count == LXD_ADDRESSES_MAX)
            continue;
        lxd_text(address, "address", instance->addresses[instance->address_count],
                 sizeof(instance->addresses[0]));
        instance->address_count++;
    }
}

/* What the network cards have carried; the loopback is none. */
static void add_traffic(struct lxd_instance *instance, json_t *network)
{
    const char *name;
    json_t *interface;

    json_object_foreach(network, name, interface)
    {
        const char *type = json_string_value(json_object_get(interface, "type"));
        const json_t *counters = json_object_get(interface, "counters");

        if (type != NULL && strcmp(type, "loopback") == 0)
            continue;
        instance->received_bytes += (uint64_t)number(counters, "bytes_received");
        instance->sent_bytes += (uint64_t)number(counters, "bytes_sent");
    }
}

static void take_state(struct lxd_instance *instance, const json_t *state)
{
    static const char *const families[] = {"inet", "inet6"};
    json_t *network = json_object_get(state, "network");
    json_t *disks = json_object_get(state, "disk");

    for (size_t i = 0; i < sizeof(families) / sizeof(*families); i++) {
        const char *name;
        json_t *interface;

        json_object_foreach(network, name, interface)
            add_addresses(instance, interface, families[i]);
    }
    add_traffic(instance, network);
    instance->pid = number(state, "pid");
    instance->processes = number(state, "processes");
    instance->memory_bytes = number(json_object_get(state, "memory"), "usage");
    instance->swap_bytes = number(json_object_get(state, "memory"), "swap_usage");
    instance->cpu_ns = number(json_object_get(state, "cpu"), "usage");
    instance->disk_bytes = number(json_object_get(disks, "root"), "usage");
}

int lxd_instance_parse(struct lxd_instance *instance, const json_t *object, struct crosh_error *err)
{
    const char *name = json_string_value(json_object_get(object, "name"));
    const char *privileged;
    json_t *config = json_object_get(object, "config");

    *instance = (struct lxd_instance){0};
    if (name == NULL || !lxd_name_is_valid(name))
        return no_sense(err);
    (void)strcpy(instance->name, name);
    lxd_text(object, "status", instance->status, sizeof(instance->status));
    lxd_text(object, "location", instance->location, sizeof(instance->location));
    if (!lxd_name_is_valid(instance->location) || strcmp(instance->location, NO_LOCATION) == 0)
        instance->location[0] = '\0';
    lxd_text(config, "image.description", instance->image, sizeof(instance->image));
    lxd_text(object, "created_at", instance->created, sizeof(instance->created));
    lxd_text(object, "last_used_at", instance->last_used, sizeof(instance->last_used));
    if (strncmp(instance->last_used, NEVER_1, strlen(NEVER_1)) == 0 ||
        strncmp(instance->last_used, NEVER_2, strlen(NEVER_2)) == 0)
        instance->last_used[0] = '\0';
    instance->is_running = strcmp(instance->status, "Running") == 0;
    privileged = lxd_instance_config(object, "security.privileged");
    instance->is_privileged = privileged != NULL && strcmp(privileged, "true") == 0;
    instance->snapshot_count = json_array_size(json_object_get(object, "snapshots"));
    take_state(instance, json_object_get(object, "state"));
    return 0;
}

static int compare(const void *a, const void *b)
{
    return strcmp(((const struct lxd_instance *)a)->name, ((const struct lxd_instance *)b)->name);
}

int lxd_instances_parse(struct lxd_instance **instances, size_t *count, const json_t *list,
                        struct crosh_error *err)
{
    struct lxd_instance *parsed;
    size_t used = 0, i;
    json_t *item;

    *instances = NULL;
    *count = 0;
    if (!json_is_array(list) || json_array_size(list) > LXD_INSTANCES_MAX)
        return no_sense(err);
    parsed = calloc(json_array_size(list) + 1, sizeof(*parsed));
    if (parsed == NULL)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    json_array_foreach(list, i, item)
    {
        const char *type = json_string_value(json_object_get(item, "type"));
        int r;

        /* Of one on a cluster's member that is gone there is no type. */
        if (type != NULL && *type != '\0' && strcmp(type, "container") != 0)
            continue;
        r = lxd_instance_parse(&parsed[used], item, err);
        if (r < 0) {
            free(parsed);
            return r;
        }
        used++;
    }
    qsort(parsed, used, sizeof(*parsed), compare);
    *instances = parsed;
    *count = used;
    return 0;
}

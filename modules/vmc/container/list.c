/* SPDX-License-Identifier: MIT */
/* "vmc container list" and "info". */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/cleanup.h"
#include "lib/base/sanitize.h"
#include "lib/lxd/instance.h"
#include "modules/vmc/container/container.h"
#include "modules/vmc/text.h"

/* "making", or the state in the words of "vmc list". */
static void state_name(const struct lxd_instance *instance, char *state, size_t size)
{
    if (strncmp(instance->name, LXD_MAKING_PREFIX, strlen(LXD_MAKING_PREFIX)) == 0) {
        (void)snprintf(state, size, "making");
        return;
    }
    (void)snprintf(state, size, "%s", instance->status);
    for (char *c = state; *c != '\0'; c++)
        *c = *c >= 'A' && *c <= 'Z' ? (char)(*c - 'A' + 'a') : *c;
}

/* What it is or will be called. */
static const char *shown_name(const struct lxd_instance *instance)
{
    size_t prefix = strlen(LXD_MAKING_PREFIX);

    return strncmp(instance->name, LXD_MAKING_PREFIX, prefix) == 0 ? instance->name + prefix
                                                                   : instance->name;
}

static json_t *snapshots_to_json(const json_t *snapshots)
{
    json_t *list = json_array();
    const json_t *snapshot;
    size_t i;

    json_array_foreach(snapshots, i, snapshot)
    {
        char name[LXD_NAME_MAX + 1], created[40];

        lxd_text(snapshot, "name", name, sizeof(name));
        lxd_text(snapshot, "created_at", created, sizeof(created));
        (void)json_array_append_new(list,
                                    json_pack("{s:s, s:s}", "name", name, "created", created));
    }
    return list;
}

static json_t *to_json(const struct lxd_instance *instance)
{
    json_t *addresses = json_array();
    char state[sizeof(instance->status)];

    state_name(instance, state, sizeof(state));
    for (size_t i = 0; i < instance->address_count; i++)
        (void)json_array_append_new(addresses, json_string(instance->addresses[i]));
    return json_pack(
        "{s:s, s:s, s:s, s:s, s:b, s:o, s:I, s:s, s:s, s:I, s:I, s:I, s:I}", "name",
        shown_name(instance), "state", state, "location", instance->location, "image",
        instance->image, "privileged", instance->is_privileged, "addresses", addresses, "snapshots",
        (json_int_t)instance->snapshot_count, "created", instance->created, "last_used",
        instance->last_used, "processes", (json_int_t)instance->processes, "memory_bytes",
        (json_int_t)instance->memory_bytes, "disk_bytes", (json_int_t)instance->disk_bytes,
        "cpu_us", (json_int_t)(instance->cpu_ns / 1000));
}

static int print_json(struct crosh_context *ctx, json_t *json, struct crosh_error *err)
{
    FILE *out = crosh_stdout(ctx);
    int r = json != NULL ? json_dumpf(json, out, JSON_INDENT(2)) : -1;

    json_decref(json);
    if (r < 0 || fputc('\n', out) == EOF)
        return crosh_error_set(err, -ENOMEM, "the list cannot be printed");
    return 0;
}

static void add_row(struct crosh_table *table, const struct lxd_instance *instance, bool is_cluster)
{
    char state[sizeof(instance->status)], snapshots[24];
    const char *cells[] = {shown_name(instance),
                           state,
                           instance->address_count > 0 ? instance->addresses[0] : "-",
                           snapshots,
                           instance->image[0] != '\0' ? instance->image : "-",
                           is_cluster ? instance->location : NULL,
                           NULL};

    state_name(instance, state, sizeof(state));
    (void)snprintf(snapshots, sizeof(snapshots), "%zu", instance->snapshot_count);
    crosh_table_row(table, cells);
}

static void print_table(struct crosh_context *ctx, const struct lxd_instance *instances,
                        size_t count)
{
    /* The place is one of a cluster's members; elsewhere there is nothing to tell. */
    bool is_cluster = count > 0 && instances[0].location[0] != '\0';
    const char *const headers[] = {
        "NAME", "STATE", "ADDRESS", "SNAPSHOTS", "IMAGE", is_cluster ? "LOCATION" : NULL, NULL};
    struct crosh_table *table = crosh_table_new(headers);

    for (size_t i = 0; i < count; i++)
        add_row(table, &instances[i], is_cluster);
    crosh_table_print(table, ctx);
    crosh_table_free(table);
}

int container_list(struct crosh_context *ctx, const struct crosh_args *args,
                   struct crosh_error *err)
{
    struct lxd *lxd = container_open(ctx, args, err);
    cleanup_free struct lxd_instance *instances = NULL;
    json_t *list = NULL;
    size_t count = 0;
    int r;

    if (lxd == NULL)
        return err->code;
    r = lxd_get(lxd, &list, err, "/1.0/instances?recursion=2");
    lxd_close(lxd);
    if (r == 0)
        r = lxd_instances_parse(&instances, &count, list, err);
    json_decref(list);
    if (r < 0)
        return r;
    if (!crosh_args_has(args, "json")) {
        print_table(ctx, instances, count);
        return 0;
    }
    list = json_array();
    for (size_t i = 0; i < count; i++)
        (void)json_array_append_new(list, to_json(&instances[i]));
    return print_json(ctx, list, err);
}

static void print_snapshots(FILE *out, const json_t *snapshots)
{
    const json_t *snapshot;
    size_t i;

    json_array_foreach(snapshots, i, snapshot)
    {
        char name[LXD_NAME_MAX + 1], created[40];

        lxd_text(snapshot, "name", name, sizeof(name));
        lxd_text(snapshot, "created_at", created, sizeof(created));
        (void)fprintf(out, "%-11s %s (%.19s)\n", i == 0 ? "snapshots" : "", name, created);
    }
}

static void print_info(struct crosh_context *ctx, const struct lxd_instance *instance,
                       const json_t *object)
{
    FILE *out = crosh_stdout(ctx);
    char state[sizeof(instance->status)], size[32];

    state_name(instance, state, sizeof(state));
    (void)fprintf(out, "%-11s %s\n", "name", shown_name(instance));
    (void)fprintf(out, "%-11s %s\n", "state", state);
    if (instance->location[0] != '\0')
        (void)fprintf(out, "%-11s %s\n", "location", instance->location);
    if (instance->image[0] != '\0')
        (void)fprintf(out, "%-11s %s\n", "image", instance->image);
    (void)fprintf(out, "%-11s %s\n", "privileged", instance->is_privileged ? "yes" : "no");
    (void)fprintf(out, "%-11s %.19s\n", "created", instance->created);
    if (instance->last_used[0] != '\0')
        (void)fprintf(out, "%-11s %.19s\n", "last used", instance->last_used);
    for (size_t i = 0; i < instance->address_count; i++)
        (void)fprintf(out, "%-11s %s\n", i == 0 ? "addresses" : "", instance->addresses[i]);
    if (instance->is_running) {
        (void)fprintf(out, "%-11s %" PRId64 "\n", "processes", instance->processes);
        if (instance->memory_bytes > 0)
            (void)fprintf(out, "%-11s %s\n", "memory",
                          text_size((uint64_t)instance->memory_bytes, size, sizeof(size)));
        (void)fprintf(out, "%-11s %.1f s\n", "cpu time", (double)instance->cpu_ns / 1e9);
    }
    if (instance->disk_bytes > 0)
        (void)fprintf(out, "%-11s %s\n", "disk",
                      text_size((uint64_t)instance->disk_bytes, size, sizeof(size)));
    print_snapshots(out, json_object_get(object, "snapshots"));
}

int container_info(struct crosh_context *ctx, const struct crosh_args *args,
                   struct crosh_error *err)
{
    const char *name = container_name(args, "container", err);
    struct lxd *lxd = name != NULL ? container_open(ctx, args, err) : NULL;
    struct lxd_instance instance;
    json_t *object = NULL;
    int r;

    if (lxd == NULL)
        return err->code;
    r = container_get(lxd, name, &object, err);
    lxd_close(lxd);
    if (r == 0)
        r = lxd_instance_parse(&instance, object, err);
    if (r == 0 && crosh_args_has(args, "json")) {
        json_t *json = to_json(&instance);

        (void)json_object_set_new(json, "snapshots",
                                  snapshots_to_json(json_object_get(object, "snapshots")));
        r = print_json(ctx, json, err);
    } else if (r == 0) {
        print_info(ctx, &instance, object);
    }
    json_decref(object);
    return r;
}

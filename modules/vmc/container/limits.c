/* SPDX-License-Identifier: MIT */
/* "vmc container limits": what a container may use at most. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/cleanup.h"
#include "lib/base/deadline.h"
#include "lib/base/size.h"
#include "lib/lxd/instance.h"
#include "modules/vmc/container/container.h"
#include "modules/vmc/text.h"

#define CHANGE_MS 120000
#define NONE      "none"

/* The limits that are keys of LXD's configuration; the disk's is a property of a device. */
static const struct limit {
    const char *option;
    const char *key;
    bool is_size;
} limits[] = {
    {"memory", "limits.memory", true},
    {"cpus", "limits.cpu", false},
    {"processes", "limits.processes", false},
};
#define LIMIT_COUNT (sizeof(limits) / sizeof(*limits))

/* What LXD is told: bytes, a count, or "" for none. */
static int value_of(const struct crosh_args *args, const char *option, bool is_size, char *value,
                    size_t size, struct crosh_error *err)
{
    const char *text = crosh_args_string(args, option);
    uint64_t number = 0;
    char *end;

    value[0] = '\0';
    if (strcmp(text, NONE) == 0)
        return 0;
    if (is_size
            ? size_parse(text, &number) < 0
            : (number = strtoul(text, &end, 10), *end != '\0' || text[0] < '0' || text[0] > '9'))
        number = 0;
    if (number == 0 || number > INT64_MAX)
        return crosh_error_set(err, CROSH_EUSAGE, "--%s: '%s' is neither %s nor " NONE, option,
                               text, is_size ? "a size such as 512M" : "a number");
    (void)snprintf(value, size, "%" PRIu64, number);
    return 0;
}

/* The root disk as the container has it, whether by itself or by a profile. */
static json_t *root_device(const json_t *object)
{
    json_t *root = json_object_get(json_object_get(object, "expanded_devices"), "root");

    return json_is_object(root) ? json_deep_copy(root) : NULL;
}

static int collect(const struct crosh_args *args, const json_t *object, json_t *body,
                   struct crosh_error *err)
{
    json_t *config = json_object_get(body, "config");
    char value[32];
    int r = 0;

    for (size_t i = 0; i < LIMIT_COUNT && r == 0; i++) {
        if (!crosh_args_has(args, limits[i].option))
            continue;
        r = value_of(args, limits[i].option, limits[i].is_size, value, sizeof(value), err);
        if (r == 0)
            (void)json_object_set_new(config, limits[i].key, json_string(value));
    }
    if (r == 0 && crosh_args_has(args, "disk")) {
        json_t *root = root_device(object);

        r = value_of(args, "disk", true, value, sizeof(value), err);
        if (root == NULL)
            return crosh_error_set(err, -EBADMSG, "LXD tells of no root disk");
        (void)json_object_set_new(root, "size", json_string(value));
        (void)json_object_set_new(body, "devices", json_pack("{s:o}", "root", root));
    }
    return r;
}

static int set_limits(struct lxd *lxd, const struct crosh_args *args, const char *name,
                      const json_t *object, struct crosh_error *err)
{
    json_t *body = json_pack("{s:{}}", "config");
    int r = collect(args, object, body, err);

    if (r == 0)
        r = lxd_do(lxd, "PATCH", body, deadline_in(CHANGE_MS), err, "/1.0/instances/%s", name);
    json_decref(body);
    return r;
}

/* The limit as LXD has it, harmless; empty: none. */
static void limit_of(const json_t *object, const char *key, char *text, size_t size)
{
    const json_t *config = json_object_get(object, "expanded_config");

    lxd_text(config, key, text, size);
}

static void disk_limit(const json_t *object, char *text, size_t size)
{
    lxd_text(json_object_get(json_object_get(object, "expanded_devices"), "root"), "size", text,
             size);
}

/* A size that was given in bytes in the units of all other commands. */
static const char *size_text(const char *text, char *buffer, size_t size)
{
    char *end;
    uint64_t bytes = strtoull(text, &end, 10);

    return *text == '\0' || *end != '\0' ? text : text_size(bytes, buffer, size);
}

static int show_json(struct crosh_context *ctx, const json_t *object, struct crosh_error *err)
{
    FILE *out = crosh_stdout(ctx);
    json_t *json = json_object();
    char text[64];
    int r;

    for (size_t i = 0; i <= LIMIT_COUNT; i++) {
        if (i < LIMIT_COUNT)
            limit_of(object, limits[i].key, text, sizeof(text));
        else
            disk_limit(object, text, sizeof(text));
        (void)json_object_set_new(json, i < LIMIT_COUNT ? limits[i].option : "disk",
                                  text[0] != '\0' ? json_string(text) : json_null());
    }
    r = json_dumpf(json, out, JSON_INDENT(2));
    json_decref(json);
    if (r < 0 || fputc('\n', out) == EOF)
        return crosh_error_set(err, -ENOMEM, "the limits cannot be printed");
    return 0;
}

static void show(struct crosh_context *ctx, const json_t *object)
{
    FILE *out = crosh_stdout(ctx);
    char text[64], size[32];

    for (size_t i = 0; i < LIMIT_COUNT; i++) {
        limit_of(object, limits[i].key, text, sizeof(text));
        (void)fprintf(out, "%-10s %s\n", limits[i].option,
                      text[0] == '\0'     ? NONE
                      : limits[i].is_size ? size_text(text, size, sizeof(size))
                                          : text);
    }
    disk_limit(object, text, sizeof(text));
    (void)fprintf(out, "%-10s %s\n", "disk",
                  text[0] == '\0' ? NONE : size_text(text, size, sizeof(size)));
}

int container_limits(struct crosh_context *ctx, const struct crosh_args *args,
                     struct crosh_error *err)
{
    const char *name = container_name(args, "container", err);
    struct lxd *lxd = name != NULL ? container_open(ctx, args, err) : NULL;
    bool is_change = crosh_args_has(args, "disk");
    json_t *object = NULL;
    int r;

    if (lxd == NULL)
        return err->code;
    for (size_t i = 0; i < LIMIT_COUNT; i++)
        is_change = is_change || crosh_args_has(args, limits[i].option);
    r = container_get(lxd, name, &object, err);
    if (r == 0 && is_change)
        r = set_limits(lxd, args, name, object, err);
    else if (r == 0 && crosh_args_has(args, "json"))
        r = show_json(ctx, object, err);
    else if (r == 0)
        show(ctx, object);
    json_decref(object);
    lxd_close(lxd);
    return r;
}

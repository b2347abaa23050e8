/* SPDX-License-Identifier: MIT */
/* "vmc container delete", "rename", "move", "copy", "snapshot" and "restore". */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/cleanup.h"
#include "lib/base/deadline.h"
#include "lib/lxd/instance.h"
#include "modules/vmc/automount.h"
#include "modules/vmc/container/container.h"

/* For what is quick by itself, on the slowest machine. */
#define CHANGE_MS 600000

static int out_of_memory(struct crosh_error *err)
{
    return crosh_error_set(err, -ENOMEM, "out of memory");
}

/* One request whose body is given away. */
static int request(struct container_work *work, const char *stage, const char *method,
                   const char *path, json_t *body, struct crosh_error *err)
{
    int r = path == NULL ? out_of_memory(err)
                         : container_do(work, stage, method, path, body, NULL, NULL, err);

    json_decref(body);
    return r;
}

static char *instance_path(const char *name, const char *rest)
{
    char *path;

    return asprintf(&path, "/1.0/instances/%s%s", name, rest) < 0 ? NULL : path;
}

static int set_state(struct container_work *work, const char *stage, const char *action, bool force,
                     const char *name, struct crosh_error *err)
{
    cleanup_free char *path = instance_path(name, "/state");

    return request(
        work, stage, "PUT", path,
        json_pack("{s:s, s:i, s:b}", "action", action, "timeout", force ? -1 : 60, "force", force),
        err);
}

/*
 * The container itself, or what is left of its making. 0 with the name that LXD knows it by
 * and whether it runs.
 */
static int find(struct lxd *lxd, const char *name, char actual[LXD_NAME_MAX + 1], bool *is_running,
                struct crosh_error *err)
{
    struct lxd_instance instance;
    json_t *object = NULL;
    int r = container_get(lxd, name, &object, err);

    (void)snprintf(actual, LXD_NAME_MAX + 1, "%s", name);
    if (r == -ENOENT) {
        struct crosh_error ignored;

        container_making_name(name, actual);
        if (container_get(lxd, actual, &object, &ignored) == 0)
            r = 0;
    }
    if (r == 0)
        r = lxd_instance_parse(&instance, object, err);
    json_decref(object);
    *is_running = r == 0 && strcmp(instance.status, "Stopped") != 0;
    return r;
}

/* Of a container that is still to come there is an operation alone: LXD shall give it up. */
static int cancel_making(struct lxd *lxd, const char *name, struct crosh_error *err)
{
    char making[LXD_NAME_MAX + 1];
    char id[LXD_OPERATION_ID_SIZE], unused[LXD_OPERATION_ID_SIZE];
    struct crosh_error inner;

    container_making_name(name, making);
    if (lxd_find_operation(lxd, making, id, &inner) <= 0)
        return err->code;
    if (lxd_send(lxd, "DELETE", NULL, unused, &inner, "/1.0/operations/%s", id) == 0)
        return 0;
    return crosh_error_set(err, -EBUSY,
                           "container %s is being made, and LXD cannot be stopped in it", name);
}

static int delete_one(struct container_work *work, const char *name, bool force,
                      struct crosh_error *err)
{
    char actual[LXD_NAME_MAX + 1];
    cleanup_free char *path = NULL;
    bool is_running;
    int r = find(work->lxd, name, actual, &is_running, err);

    if (r == -ENOENT)
        return cancel_making(work->lxd, name, err);
    if (r < 0)
        return r;
    if (is_running && !force) {
        (void)crosh_error_set(err, -EBUSY, "container %s is running", name);
        return crosh_error_hint(err, "stop it first: vmc container stop %s %s; or delete --force",
                                lxd_vm(work->lxd), name);
    }
    if (is_running && strcmp(name, AUTOMOUNT_CONTAINER) == 0)
        automount_end(work->ctx, lxd_vm(work->lxd), name, true);
    if (is_running)
        r = set_state(work, "stop", "stop", true, actual, err);
    path = instance_path(actual, "");
    if (r == 0)
        r = request(work, "delete", "DELETE", path, NULL, err);
    return r < 0 ? crosh_error_wrap(err, "%s", name) : 0;
}

static int confirm(struct crosh_context *ctx, const struct crosh_args *args,
                   const char *const *names, struct crosh_error *err)
{
    char question[256];

    if (crosh_args_has(args, "yes"))
        return 1;
    if (!crosh_is_interactive(ctx)) {
        (void)crosh_error_set(err, CROSH_EUSAGE, "nobody can be asked whether to delete %s%s",
                              names[0], names[1] != NULL ? " and others" : "");
        return crosh_error_hint(err, "say so with -y");
    }
    (void)snprintf(question, sizeof(question), "%s%s and all that is in %s will be gone. Continue?",
                   names[0], names[1] != NULL ? ", the others" : "",
                   names[1] != NULL ? "them" : "it");
    return crosh_confirm(ctx, question);
}

int container_delete(struct crosh_context *ctx, const struct crosh_args *args,
                     struct crosh_error *err)
{
    const char *const *names = crosh_args_all(args, "container");
    struct container_work work;
    struct lxd *lxd;
    int r = 0;

    for (size_t i = 0; names[i] != NULL; i++) {
        if (lxd_name_check(names[i], err) < 0)
            return err->code;
    }
    lxd = container_open(ctx, args, err);
    if (lxd == NULL)
        return err->code;
    container_work_init(&work, ctx, lxd, deadline_in(CHANGE_MS));
    r = confirm(ctx, args, names, err);
    if (r == 0)
        r = CROSH_EXIT_FAILURE;
    else if (r > 0)
        r = 0;
    for (size_t i = 0; names[i] != NULL && r == 0; i++)
        r = delete_one(&work, names[i], crosh_args_has(args, "force"), err);
    lxd_close(lxd);
    return r;
}

/* The error of a request that LXD refuses for a state that the user can change. */
static int explain(struct lxd *lxd, const char *name, struct crosh_error *err)
{
    if (strstr(err->message, "running") != NULL)
        return crosh_error_hint(err, "stop it first: vmc container stop %s %s", lxd_vm(lxd), name);
    return err->code;
}

int container_rename(struct crosh_context *ctx, const struct crosh_args *args,
                     struct crosh_error *err)
{
    const char *name = container_name(args, "container", err);
    const char *new = name != NULL ? container_name(args, "new", err) : NULL;
    struct lxd *lxd = new != NULL ? container_open(ctx, args, err) : NULL;
    struct container_work work;
    cleanup_free char *path = NULL;
    json_t *object = NULL;
    int r;

    if (lxd == NULL)
        return err->code;
    container_work_init(&work, ctx, lxd, deadline_in(CHANGE_MS));
    r = container_get(lxd, name, &object, err);
    json_decref(object);
    path = instance_path(name, "");
    if (r == 0)
        r = request(&work, "rename", "POST", path, json_pack("{s:s}", "name", new), err);
    if (r < 0)
        (void)explain(lxd, name, err);
    lxd_close(lxd);
    return r;
}

/* Whether the container can be moved to the member, as far as it can be known before. */
static int check_move(const struct lxd *lxd, const json_t *object, const char *member,
                      struct crosh_error *err)
{
    struct lxd_instance instance;
    int r = lxd_instance_parse(&instance, object, err);

    if (r < 0)
        return r;
    if (instance.location[0] == '\0')
        return crosh_error_set(err, -EBUSY, "VM %s is not a member of a cluster", lxd_vm(lxd));
    if (strcmp(instance.location, member) == 0)
        return crosh_error_set(err, -EEXIST, "container %s is on %s already", instance.name,
                               member);
    if (!instance.is_running)
        return 0;
    (void)crosh_error_set(err, -EBUSY, "container %s is running", instance.name);
    return crosh_error_hint(err, "stop it first: vmc container stop %s %s", lxd_vm(lxd),
                            instance.name);
}

int container_move(struct crosh_context *ctx, const struct crosh_args *args,
                   struct crosh_error *err)
{
    const char *name = container_name(args, "container", err);
    const char *member = crosh_args_string(args, "member");
    cleanup_free char *path = NULL;
    struct container_work work;
    json_t *object = NULL;
    struct lxd *lxd;
    int r;

    if (name == NULL)
        return err->code;
    if (!lxd_name_is_valid(member))
        return crosh_error_set(err, CROSH_EUSAGE, "'%s' cannot be the name of a cluster's member",
                               member);
    lxd = container_open(ctx, args, err);
    if (lxd == NULL)
        return err->code;
    container_work_init(&work, ctx, lxd,
                        deadline_in(crosh_args_number(args, "timeout", 900) * 1000));
    r = container_get(lxd, name, &object, err);
    if (r == 0)
        r = check_move(lxd, object, member, err);
    json_decref(object);
    if (asprintf(&path, "/1.0/instances/%s?target=%s", name, member) < 0)
        path = NULL;
    if (r == 0)
        r = request(&work, "move", "POST", path,
                    json_pack("{s:s, s:b}", "name", name, "migration", true), err);
    if (r == -ETIMEDOUT)
        r = container_still_busy(&work, name, "being moved");
    lxd_close(lxd);
    return r;
}

/* "CONTAINER" or "CONTAINER/SNAPSHOT". */
static int check_source(const char *source, struct crosh_error *err)
{
    cleanup_free char *name = strdup(source);
    char *snapshot = name != NULL ? strchr(name, '/') : NULL;
    int r;

    if (name == NULL)
        return out_of_memory(err);
    if (snapshot != NULL)
        *snapshot++ = '\0';
    r = lxd_name_check(name, err);
    return r < 0 || snapshot == NULL ? r : lxd_snapshot_check(snapshot, err);
}

/* What of a container's configuration is its own, and what LXD knows of that very one. */
static json_t *copied_config(const json_t *object)
{
    json_t *config = json_deep_copy(json_object_get(object, "config"));
    const char *key;
    json_t *value;
    void *next;

    json_object_foreach_safe(config, next, key, value)
    {
        if ((strncmp(key, "volatile.", 9) == 0 && strcmp(key, "volatile.base_image") != 0) ||
            strcmp(key, CONTAINER_KEY_NAME) == 0)
            (void)json_object_del(config, key);
    }
    return config;
}

struct copy {
    const char *source; /* "CONTAINER" or "CONTAINER/SNAPSHOT" */
    json_t *object;     /* the container as it is now */
};

static int describe_copy(void *data, json_t **body, struct crosh_error *err)
{
    const struct copy *copy = data;

    *body = json_pack("{s:s, s:{s:s, s:s}, s:o, s:O?, s:O?}", "type", "container", "source", "type",
                      "copy", "source", copy->source, "config", copied_config(copy->object),
                      "devices", json_object_get(copy->object, "devices"), "profiles",
                      json_object_get(copy->object, "profiles"));
    return *body != NULL ? 0 : out_of_memory(err);
}

int container_copy(struct crosh_context *ctx, const struct crosh_args *args,
                   struct crosh_error *err)
{
    struct copy copy = {.source = crosh_args_string(args, "container")};
    const char *new = container_name(args, "new", err);
    cleanup_free char *name = strndup(copy.source, strcspn(copy.source, "/"));
    struct container_work work;
    json_t *there = NULL;
    struct lxd *lxd;
    int r;

    if (new == NULL || check_source(copy.source, err) < 0)
        return err->code;
    if (name == NULL)
        return out_of_memory(err);
    lxd = container_open(ctx, args, err);
    if (lxd == NULL)
        return err->code;
    container_work_init(&work, ctx, lxd,
                        deadline_in(crosh_args_number(args, "timeout", 900) * 1000));
    r = container_get(lxd, new, &there, err);
    json_decref(there);
    if (r == 0)
        r = crosh_error_set(err, -EEXIST, "container %s is there already", new);
    else if (r == -ENOENT)
        r = container_get(lxd, name, &copy.object, err);
    if (r == 0)
        r = container_make(&work, new, describe_copy, &copy, err);
    json_decref(copy.object);
    lxd_close(lxd);
    return r;
}

static int no_snapshot(struct lxd *lxd, const char *name, const char *snapshot,
                       struct crosh_error *err)
{
    (void)crosh_error_set(err, -ENOENT, "container %s has no snapshot %s", name, snapshot);
    return crosh_error_hint(err, "see: vmc container info %s %s", lxd_vm(lxd), name);
}

/* The lowest name "snapN" that is not taken. */
static int next_name(const json_t *object, char *name, size_t size)
{
    const json_t *snapshot;
    long next = 0;
    size_t i;

    json_array_foreach(json_object_get(object, "snapshots"), i, snapshot)
    {
        char taken[LXD_NAME_MAX + 1];
        const char *base;

        lxd_text(snapshot, "name", taken, sizeof(taken));
        base = strrchr(taken, '/') != NULL ? strrchr(taken, '/') + 1 : taken;
        if (strncmp(base, "snap", 4) == 0 && strtol(base + 4, NULL, 10) >= next)
            next = strtol(base + 4, NULL, 10) + 1;
    }
    (void)snprintf(name, size, "snap%ld", next);
    return 0;
}

int container_snapshot(struct crosh_context *ctx, const struct crosh_args *args,
                       struct crosh_error *err)
{
    const char *name = container_name(args, "container", err);
    const char *given = crosh_args_string(args, "snapshot");
    bool is_delete = crosh_args_has(args, "delete");
    char snapshot[LXD_NAME_MAX + 1];
    struct container_work work;
    cleanup_free char *path = NULL;
    json_t *object = NULL;
    struct lxd *lxd;
    int r;

    if (name == NULL || (given != NULL && lxd_snapshot_check(given, err) < 0))
        return err->code;
    if (is_delete && given == NULL)
        return crosh_error_set(err, CROSH_EUSAGE, "--delete needs the snapshot's name");
    lxd = container_open(ctx, args, err);
    if (lxd == NULL)
        return err->code;
    container_work_init(&work, ctx, lxd, deadline_in(CHANGE_MS));
    r = container_get(lxd, name, &object, err);
    if (r == 0 && given == NULL)
        r = next_name(object, snapshot, sizeof(snapshot));
    else if (r == 0)
        (void)snprintf(snapshot, sizeof(snapshot), "%s", given);
    json_decref(object);
    if (r == 0 && is_delete) {
        if (asprintf(&path, "/1.0/instances/%s/snapshots/%s", name, snapshot) < 0)
            path = NULL;
        r = request(&work, "delete", "DELETE", path, NULL, err);
        if (r == -ENOENT)
            r = no_snapshot(lxd, name, snapshot, err);
    } else if (r == 0) {
        path = instance_path(name, "/snapshots");
        r = request(&work, "snapshot", "POST", path, json_pack("{s:s}", "name", snapshot), err);
        if (r == 0 && given == NULL)
            (void)fprintf(crosh_stdout(ctx), "%s\n", snapshot);
    }
    lxd_close(lxd);
    return r;
}

int container_restore(struct crosh_context *ctx, const struct crosh_args *args,
                      struct crosh_error *err)
{
    const char *name = container_name(args, "container", err);
    const char *snapshot = crosh_args_string(args, "snapshot");
    char actual[LXD_NAME_MAX + 1];
    struct container_work work;
    cleanup_free char *path = NULL;
    json_t *object = NULL;
    bool is_running = false;
    struct lxd *lxd;
    int r;

    if (name == NULL || lxd_snapshot_check(snapshot, err) < 0)
        return err->code;
    lxd = container_open(ctx, args, err);
    if (lxd == NULL)
        return err->code;
    container_work_init(&work, ctx, lxd, deadline_in(CHANGE_MS));
    r = find(lxd, name, actual, &is_running, err);
    if (r == 0) {
        r = lxd_get(lxd, &object, err, "/1.0/instances/%s/snapshots/%s", actual, snapshot);
        json_decref(object);
        if (r == -ENOENT)
            r = no_snapshot(lxd, name, snapshot, err);
    }
    /* LXD starts what it had to stop. */
    path = instance_path(actual, "");
    if (r == 0)
        r = request(&work, "restore", "PUT", path, json_pack("{s:s}", "restore", snapshot), err);
    lxd_close(lxd);
    return r;
}

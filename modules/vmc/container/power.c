/* SPDX-License-Identifier: MIT */
/* "vmc container start", "stop" and "restart". */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/cleanup.h"
#include "lib/base/deadline.h"
#include "lib/lxd/instance.h"
#include "modules/vmc/automount.h"
#include "modules/vmc/container/container.h"

/* Beside the time that the container itself may take. */
#define SLACK_MS 30000

/* What to do, and in which state of the container there is nothing left to be done. */
struct power {
    const char *action;
    const char *stage;
    const char *what; /* "starting" */
    const char *done_when;
};

static const struct power start_power = {"start", "start", "starting", "Running"};
static const struct power stop_power = {"stop", "stop", "stopping", "Stopped"};
static const struct power restart_power = {"restart", "restart", "restarting", NULL};

/* started: set when it now runs and did not before. */
static int change(struct container_work *work, const struct crosh_args *args,
                  const struct power *power, const char *name, bool *started,
                  struct crosh_error *err)
{
    bool is_stop = power != &start_power;
    int64_t seconds = crosh_args_number(args, "timeout", 60);
    cleanup_free char *path = NULL;
    struct lxd_instance instance;
    json_t *object = NULL;
    json_t *body;
    int r = container_get(work->lxd, name, &object, err);

    if (r == 0)
        r = lxd_instance_parse(&instance, object, err);
    json_decref(object);
    if (r < 0)
        return r;
    if (power->done_when != NULL && strcmp(instance.status, power->done_when) == 0)
        return 0;
    /* A restart of what does not run is a start. */
    if (power == &restart_power && strcmp(instance.status, "Stopped") == 0)
        power = &start_power;
    body = json_pack("{s:s, s:I, s:b}", "action", power->action, "timeout",
                     (json_int_t)(is_stop && power != &start_power ? seconds : -1), "force",
                     is_stop && power != &start_power && crosh_args_has(args, "force"));
    if (asprintf(&path, "/1.0/instances/%s/state", name) < 0)
        path = NULL;
    if (power == &stop_power && strcmp(name, AUTOMOUNT_CONTAINER) == 0)
        automount_end(work->ctx, container_vm_of(instance.location, lxd_vm(work->lxd)), name,
                      crosh_args_has(args, "force") != 0);
    if (body == NULL || path == NULL)
        r = crosh_error_set(err, -ENOMEM, "out of memory");
    else
        r = container_do(work, power->stage, "PUT", path, body, NULL, NULL, err);
    json_decref(body);
    if (r == -ETIMEDOUT)
        return container_still_busy(work, name, power->what);
    *started = r == 0 && power != &stop_power;
    if (*started && strcmp(name, AUTOMOUNT_CONTAINER) == 0)
        automount_begin(work->ctx, container_vm_of(instance.location, lxd_vm(work->lxd)), name);
    if (r < 0) {
        (void)crosh_error_wrap(err, "%s", name);
        if (power == &start_power)
            (void)crosh_error_hint(err, "look at: vmc container logs %s %s", lxd_vm(work->lxd),
                                   name);
        else if (r == -EREMOTEIO && !crosh_args_has(args, "force"))
            (void)crosh_error_hint(err, "end it at once: vmc container %s --force %s %s",
                                   power->action, lxd_vm(work->lxd), name);
    }
    return r;
}

static int change_all(struct crosh_context *ctx, const struct crosh_args *args,
                      const struct power *power, struct crosh_error *err)
{
    const char *const *names = crosh_args_all(args, "container");
    cleanup_free bool *started = calloc(crosh_args_count(args, "container") + 1, sizeof(*started));
    int64_t network_seconds =
        power != &stop_power ? crosh_args_number(args, "network-timeout", 0) : 0;
    struct container_work work;
    struct lxd *lxd;
    int r = 0;

    if (started == NULL)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    for (size_t i = 0; names[i] != NULL; i++) {
        if (lxd_name_check(names[i], err) < 0)
            return err->code;
    }
    lxd = container_open(ctx, args, err);
    if (lxd == NULL)
        return err->code;
    for (size_t i = 0; names[i] != NULL && r >= 0; i++) {
        int status;

        container_work_init(&work, ctx, lxd,
                            deadline_in(crosh_args_number(args, "timeout", 60) * 1000 +
                                        (power == &start_power ? 0 : SLACK_MS)));
        status = change(&work, args, power, names[i], &started[i], err);
        r = status != 0 ? status : r;
    }
    /* Only then, so that they come up beside each other. */
    for (size_t i = 0; names[i] != NULL && r >= 0; i++) {
        int status = 0;

        container_work_init(&work, ctx, lxd, deadline_in(network_seconds * 1000 + SLACK_MS));
        if (started[i])
            status = container_wait_online(&work, names[i], network_seconds, err);
        r = status != 0 ? status : r;
    }
    lxd_close(lxd);
    return r;
}

int container_start(struct crosh_context *ctx, const struct crosh_args *args,
                    struct crosh_error *err)
{
    return change_all(ctx, args, &start_power, err);
}

int container_stop(struct crosh_context *ctx, const struct crosh_args *args,
                   struct crosh_error *err)
{
    return change_all(ctx, args, &stop_power, err);
}

int container_restart(struct crosh_context *ctx, const struct crosh_args *args,
                      struct crosh_error *err)
{
    return change_all(ctx, args, &restart_power, err);
}

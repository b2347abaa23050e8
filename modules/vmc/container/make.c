/* SPDX-License-Identifier: MIT */
/* Making containers so that one is whole as soon as it is there, whatever is interrupted. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/cleanup.h"
#include "modules/vmc/container/container.h"

/*
 * A container is made under another name, which is LXD's to work on for as long as it
 * takes, and renamed when it is whole. So whoever comes after an interruption sees where
 * things stand: an operation of LXD's on that name is waited for; without one, what has that
 * name is the remains of a making that ended with its VM, and goes; a container of the right
 * name is whole. The VM's next start removes remains as well, for makings that nobody asks for
 * again.
 */

void container_making_name(const char *name, char making[LXD_NAME_MAX + 1])
{
    size_t used;

    (void)snprintf(making, LXD_NAME_MAX + 1, LXD_MAKING_PREFIX "%s", name);
    /* Cut at the length, where a dash may have come to stand last. */
    for (used = strlen(making); making[used - 1] == '-'; used--)
        making[used - 1] = 'x';
}

int container_making_remove(struct container_work *work, const char *making,
                            struct crosh_error *err)
{
    json_t *object = NULL;
    int r = lxd_get(work->lxd, &object, err, "/1.0/instances/%s", making);

    json_decref(object);
    if (r == -ENOENT)
        return 0;
    if (r == 0)
        r = lxd_do(work->lxd, "DELETE", NULL, work->deadline, err, "/1.0/instances/%s", making);
    return r < 0 ? crosh_error_wrap(err, "the remains of %s", making) : 0;
}

/*
 * After Ctrl-C: what LXD lets itself be stopped in is stopped; the rest goes on, and the same
 * command takes it over.
 */
static int give_up(struct container_work *work, const char *name, const char *making,
                   const char *id, struct crosh_error *err)
{
    const char *vm = lxd_vm(work->lxd);
    char unused[LXD_OPERATION_ID_SIZE];
    struct crosh_error inner;

    lxd_ignore_interrupt(work->lxd);
    if (id[0] == '\0' ||
        lxd_send(work->lxd, "DELETE", NULL, unused, &inner, "/1.0/operations/%s", id) == 0) {
        (void)container_making_remove(work, making, &inner);
        return crosh_error_set(err, -EINTR, "interrupted: container %s was not made", name);
    }
    (void)crosh_error_set(err, -EINTR, "interrupted: VM %s still works on container %s", vm, name);
    return crosh_error_hint(err, "watch: vmc container list %s; undo: vmc container delete %s %s",
                            vm, vm, name);
}

static int begin(struct container_work *work, const char *making, container_describe_fn *describe,
                 void *data, char *id, struct crosh_error *err)
{
    cleanup_free char *path = NULL;
    json_t *body = NULL;
    int r = container_making_remove(work, making, err);

    /* The name of a member has nothing in it that would have to be escaped. */
    if (asprintf(&path, "/1.0/instances%s%s", work->target != NULL ? "?target=" : "",
                 work->target != NULL ? work->target : "") < 0) {
        path = NULL;
        r = crosh_error_set(err, -ENOMEM, "out of memory");
    }
    if (r == 0)
        r = describe(data, &body, err);
    if (r == 0 && json_object_set_new(body, "name", json_string(making)) < 0)
        r = crosh_error_set(err, -ENOMEM, "out of memory");
    if (r == 0)
        r = container_do(work, "container", "POST", path, body, id, NULL, err);
    json_decref(body);
    return r;
}

int container_making_finish(struct container_work *work, const char *making, const char *name,
                            struct crosh_error *err)
{
    json_t *body = json_pack("{s:s}", "name", name);
    int r = lxd_do(work->lxd, "POST", body, work->deadline, err, "/1.0/instances/%s", making);

    json_decref(body);
    return r < 0 ? crosh_error_wrap(err, "container %s cannot get its name", name) : 0;
}

int container_make(struct container_work *work, const char *name, container_describe_fn *describe,
                   void *data, struct crosh_error *err)
{
    char id[LXD_OPERATION_ID_SIZE] = "";
    char making[LXD_NAME_MAX + 1];
    struct crosh_error inner;
    int r;

    container_making_name(name, making);
    r = lxd_find_operation(work->lxd, making, id, err);
    if (r < 0)
        return r;
    if (r == 0) {
        r = begin(work, making, describe, data, id, err);
    } else {
        r = container_wait(work, "container", id, NULL, err);
        /* LXD has ended it and forgotten it: what there is tells how. */
        if (r == -ENOENT)
            r = 0;
    }
    if (r == -ETIMEDOUT && id[0] != '\0')
        return container_still_busy(work, name, "being made");
    if (r == -EINTR)
        return give_up(work, name, making, id, err);
    if (r < 0) {
        if (id[0] != '\0')
            (void)container_making_remove(work, making, &inner);
        return crosh_error_wrap(err, "container %s cannot be made", name);
    }
    return container_making_finish(work, making, name, err);
}

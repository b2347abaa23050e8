/* SPDX-License-Identifier: MIT */
/* The way to a VM's LXD, and waiting for what it does. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <crosh/vm.h>

#include "lib/base/cleanup.h"
#include "lib/base/deadline.h"
#include "lib/lxd/instance.h"
#include "modules/vmc/container/container.h"
#include "modules/vmc/text.h"

struct lxd *container_open(struct crosh_context *ctx, const struct crosh_args *args,
                           struct crosh_error *err)
{
    return lxd_open(crosh_args_string(args, "vm"), 0, crosh_interrupt_fd(ctx), err);
}

const char *container_name(const struct crosh_args *args, const char *argument,
                           struct crosh_error *err)
{
    const char *name = crosh_args_string(args, argument);

    return lxd_name_check(name, err) < 0 ? NULL : name;
}

bool container_may_ask(const char *vm)
{
    enum crosh_vm_state state = crosh_vm_state(vm);

    return state == CROSH_VM_RUNNING || state == CROSH_VM_STARTING;
}

const char *container_vm_of(const char *location, const char *vm)
{
    return location[0] != '\0' && container_may_ask(location) ? location : vm;
}

int container_get(struct lxd *lxd, const char *name, json_t **object, struct crosh_error *err)
{
    int r = lxd_get(lxd, object, err, "/1.0/instances/%s?recursion=1", name);

    if (r == -ENOENT) {
        (void)crosh_error_set(err, r, "no such container in VM %s: %s", lxd_vm(lxd), name);
        return crosh_error_hint(err, "see: vmc container list %s", lxd_vm(lxd));
    }
    return r;
}

void container_work_init(struct container_work *work, struct crosh_context *ctx, struct lxd *lxd,
                         int64_t deadline)
{
    *work = (struct container_work){.ctx = ctx, .lxd = lxd, .deadline = deadline};
    progress_init(&work->progress, ctx);
}

static void on_progress(void *data, const struct lxd_operation *operation)
{
    progress_detail(data, operation->progress);
}

int container_wait(struct container_work *work, const char *stage, const char *id,
                   json_t **metadata, struct crosh_error *err)
{
    int r;

    if (work->progress.stage == NULL)
        progress_begin(&work->progress, stage);
    r = lxd_wait(work->lxd, id, work->deadline, on_progress, &work->progress, metadata, err);
    if (r == 0)
        progress_done(&work->progress, -1);
    else if (r == -ETIMEDOUT || r == -EINTR)
        progress_clear(&work->progress);
    else
        progress_fail(&work->progress);
    return r;
}

int container_do(struct container_work *work, const char *stage, const char *method,
                 const char *path, const json_t *body, char *id, json_t **metadata,
                 struct crosh_error *err)
{
    char own[LXD_OPERATION_ID_SIZE];
    int r;

    if (id == NULL)
        id = own;
    progress_begin(&work->progress, stage);
    r = lxd_send(work->lxd, method, body, id, err, "%s", path);
    if (r < 0) {
        progress_fail(&work->progress);
        return r;
    }
    if (id[0] == '\0') {
        progress_done(&work->progress, -1);
        return 0;
    }
    return container_wait(work, stage, id, metadata, err);
}

int container_still_busy(const struct container_work *work, const char *name, const char *what)
{
    (void)fprintf(crosh_stderr(work->ctx),
                  "container %s is still %s; this command only stops waiting for it\n"
                  "(watch: vmc container list %s; the same command again waits on)\n",
                  name, what, lxd_vm(work->lxd));
    return CROSH_EXIT_TIMEOUT;
}

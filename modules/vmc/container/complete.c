/* SPDX-License-Identifier: MIT */
/* Completion of container names: those of the VM that stands before them. */
#include <string.h>

#include "lib/base/cleanup.h"
#include "lib/lxd/instance.h"
#include "lib/vm/state.h"
#include "modules/vmc/container/container.h"

/* Somebody waits at the keyboard. */
#define QUERY_MS  100
#define ANSWER_MS 1000

static void complete(struct crosh_context *ctx, const struct crosh_args *args, bool running,
                     bool stopped, struct crosh_matches *matches)
{
    const char *vm = crosh_args_string(args, "vm");
    struct lxd *lxd = NULL;
    cleanup_free struct lxd_instance *instances = NULL;
    json_t *list = NULL;
    struct crosh_vm_status status = {0};
    size_t count = 0;

    if (vm != NULL && crosh_vm_check_name(vm, NULL) == 0)
        crosh_priv_vm_query(vm, QUERY_MS, &status);
    if (!status.is_hung && (status.state == CROSH_VM_RUNNING || status.state == CROSH_VM_STARTING))
        lxd = lxd_new(vm, ANSWER_MS, crosh_interrupt_fd(ctx));
    if (lxd == NULL)
        return;
    if (lxd_get(lxd, &list, NULL, "/1.0/instances?recursion=1") == 0)
        (void)lxd_instances_parse(&instances, &count, list, NULL);
    for (size_t i = 0; i < count; i++) {
        if (strncmp(instances[i].name, LXD_MAKING_PREFIX, strlen(LXD_MAKING_PREFIX)) != 0 &&
            (instances[i].is_running ? running : stopped))
            crosh_match_add(matches, instances[i].name, instances[i].status);
    }
    json_decref(list);
    lxd_close(lxd);
}

void container_complete(struct crosh_context *ctx, const struct crosh_args *args,
                        const char *prefix, struct crosh_matches *matches)
{
    (void)prefix;
    complete(ctx, args, true, true, matches);
}

void container_complete_running(struct crosh_context *ctx, const struct crosh_args *args,
                                const char *prefix, struct crosh_matches *matches)
{
    (void)prefix;
    complete(ctx, args, true, false, matches);
}

void container_complete_stopped(struct crosh_context *ctx, const struct crosh_args *args,
                                const char *prefix, struct crosh_matches *matches)
{
    (void)prefix;
    complete(ctx, args, false, true, matches);
}

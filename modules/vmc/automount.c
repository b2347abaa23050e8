/* SPDX-License-Identifier: MIT */
/* Has the module sftp, if there is one, mount and unmount: by its commands, not by its code. */
#include "modules/vmc/automount.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/cleanup.h"
#include "lib/base/detached.h"

/* As "sftp" takes it; NULL when there is no memory. */
static char *make_target(const char *vm, const char *container)
{
    char *target;

    return asprintf(&target, "%s%s%s", vm, container != NULL ? "/" : "",
                    container != NULL ? container : "") >= 0
               ? target
               : NULL;
}

void automount_begin(struct crosh_context *ctx, const char *vm, const char *container)
{
    const char *setting = crosh_setting(ctx, "sftp.automount");
    cleanup_free char *target = make_target(vm, container);
    const char *const words[] = {"sftp", "mount", "--auto", target, NULL};
    struct crosh_error err = {0};

    if (setting == NULL || strcmp(setting, "on") != 0 || target == NULL)
        return;
    if (detached_start(words, &err) < 0)
        crosh_warn(ctx, "%s is not mounted: %s", target, err.message);
}

void automount_end(struct crosh_context *ctx, const char *vm, const char *container,
                   bool is_hurried)
{
    cleanup_free char *target = make_target(vm, container);
    /* Without its module the command is not there, and neither is a mount. */
    const char *const words[] = {"sftp", "umount", "--auto", "--timeout", is_hurried ? "1" : "10",
                                 target, NULL};
    struct crosh_error err = {0};

    if (target != NULL && crosh_run_words(ctx, words, &err) == -ETIMEDOUT)
        crosh_warn(ctx, "%s", err.message);
}

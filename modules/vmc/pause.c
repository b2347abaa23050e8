/* SPDX-License-Identifier: MIT */
/* "vmc pause" and "vmc resume": let a running VM stand still, and go on. */
#include <crosh/vm.h>

#include "lib/vm/control-client.h"
#include "lib/vm/store.h"
#include "modules/vmc/vmc.h"

/* Standing still takes as long as an access of the guest's to a device. */
#define PAUSE_TIMEOUT_MS 30000
#define OPEN_TIMEOUT_MS  2000

static int set_paused(const char *name, bool pause, struct crosh_error *err)
{
    struct crosh_control *control;
    int code = crosh_priv_vm_require(name, err);

    if (code < 0)
        return code;
    control = crosh_priv_control_open(name, OPEN_TIMEOUT_MS, err);
    if (control == NULL)
        return err->code;
    code = crosh_priv_control_pause(control, pause, PAUSE_TIMEOUT_MS, err);
    crosh_priv_control_close(control);
    return code;
}

int vmc_pause(struct crosh_context *ctx, const struct crosh_args *args, struct crosh_error *err)
{
    (void)ctx;
    return set_paused(crosh_args_string(args, "vm"), true, err);
}

int vmc_resume(struct crosh_context *ctx, const struct crosh_args *args, struct crosh_error *err)
{
    (void)ctx;
    return set_paused(crosh_args_string(args, "vm"), false, err);
}

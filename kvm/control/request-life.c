/* SPDX-License-Identifier: MIT */
/* Requests that end a VM, or ask its guest to. */
#include "kvm/control/requests.h"

#include <errno.h>

#include "kvm/launcher-internal.h"

int request_stop(struct control_call *call, void *opaque, struct crosh_error *err)
{
    const Control__StopRequest *stop = control_call_request(call)->stop;

    (void)err;
    launcher_stop(opaque, stop->force, stop->timeout_ms, "ended by request");
    return 0;
}

int request_power_button(struct control_call *call, void *opaque, struct crosh_error *err)
{
    struct launcher *l = opaque;

    (void)call;
    if (l->machine == NULL)
        return crosh_error_set(err, -EAGAIN, "the VM is between two boots");
    l->backend->power_button(l->machine);
    return 0;
}

/* SPDX-License-Identifier: MIT */
/* Requests that make a VM stand still, go on, or leave its state in a snapshot. */
#include "kvm/control/requests.h"

#include "kvm/launcher-internal.h"

int request_pause(struct control_call *call, void *opaque, struct crosh_error *err)
{
    return launcher_pause(opaque, call, err);
}

int request_resume(struct control_call *call, void *opaque, struct crosh_error *err)
{
    (void)call;
    (void)err;
    launcher_resume(opaque);
    return 0;
}

int request_snapshot(struct control_call *call, void *opaque, struct crosh_error *err)
{
    return launcher_snapshot(opaque, call, control_call_request(call)->snapshot->stop, err);
}

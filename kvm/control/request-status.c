/* SPDX-License-Identifier: MIT */
/* Requests that show a VM: its status, and the stream of its events. */
#include "kvm/control/requests.h"

#include "kvm/launcher-disks.h"
#include "kvm/launcher-internal.h"
#include "kvm/sandbox/sandbox.h"

int request_status(struct control_call *call, void *opaque, struct crosh_error *err)
{
    struct launcher *l = opaque;
    Control__Response response = CONTROL__RESPONSE__INIT;
    Control__StatusReply status = CONTROL__STATUS_REPLY__INIT;
    char *full[MACHINE_MAX_DISKS];

    (void)err;
    status.state = l->state;
    status.pid = l->config->pid;
    status.accel = (char *)(l->backend != NULL ? l->backend->name : "");
    status.notice = l->notice;
    status.vcpus = l->machine_config.vcpus;
    status.memory_bytes = l->machine_config.memory_bytes;
    status.uptime_us = launcher_uptime_us(l);
    status.n_stages = l->stage_count;
    status.stages = l->stage_list;
    status.agent_version = l->agent_version;
    status.kernel_release = l->kernel_release;
    status.cid = l->config->cid;
    status.confinement = (char *)sandbox_layers();
    status.version = (char *)PACKAGE_VERSION;
    status.n_full_disks = launcher_full_disks(l, full);
    status.full_disks = full;
    response.status = &status;
    control_answer(call, &response);
    return CONTROL_ANSWERED;
}

int request_subscribe(struct control_call *call, void *opaque, struct crosh_error *err)
{
    (void)opaque;
    (void)err;
    control_call_subscribe(call);
    return 0;
}

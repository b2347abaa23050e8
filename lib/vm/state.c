/* SPDX-License-Identifier: MIT */
/* What a VM does now, by its lock and by its launcher's word. */
#include "lib/vm/state.h"

#include <stdio.h>
#include <string.h>

#include "lib/vm/control-client.h"
#include "lib/vm/runtime.h"

/* A launcher answers within a millisecond; a list must not hang on one that does not. */
#define QUERY_TIMEOUT_MS 2000

const char *crosh_vm_state_name(enum crosh_vm_state state)
{
    switch (state) {
    case CROSH_VM_STOPPED:
        return "stopped";
    case CROSH_VM_STARTING:
        return "starting";
    case CROSH_VM_RUNNING:
        return "running";
    case CROSH_VM_STOPPING:
        return "stopping";
    case CROSH_VM_PAUSED:
        return "paused";
    }
    return "unknown";
}

static enum crosh_vm_state from_wire(Control__State state)
{
    switch (state) {
    case CONTROL__STATE__RUNNING:
        return CROSH_VM_RUNNING;
    case CONTROL__STATE__STOPPING:
    case CONTROL__STATE__ENDED:
        return CROSH_VM_STOPPING;
    case CONTROL__STATE__PAUSED:
        return CROSH_VM_PAUSED;
    default:
        return CROSH_VM_STARTING;
    }
}

static void copy_reply(const Control__StatusReply *reply, struct crosh_vm_status *status)
{
    status->answered = true;
    status->state = from_wire(reply->state);
    status->pid = reply->pid;
    status->vcpus = reply->vcpus;
    status->memory_bytes = reply->memory_bytes;
    status->uptime_us = reply->uptime_us;
    status->cid = reply->cid;
    for (size_t i = 0; i < reply->n_full_disks; i++) {
        size_t used = strlen(status->full_disks);

        (void)snprintf(status->full_disks + used, sizeof(status->full_disks) - used, "%s%s",
                       used > 0 ? " " : "", reply->full_disks[i]);
    }
    (void)snprintf(status->accel, sizeof(status->accel), "%s", reply->accel);
    (void)snprintf(status->notice, sizeof(status->notice), "%s", reply->notice);
    (void)snprintf(status->agent_version, sizeof(status->agent_version), "%s",
                   reply->agent_version);
    (void)snprintf(status->kernel_release, sizeof(status->kernel_release), "%s",
                   reply->kernel_release);
    (void)snprintf(status->confinement, sizeof(status->confinement), "%s", reply->confinement);
}

void crosh_priv_vm_query(const char *name, int timeout_ms, struct crosh_vm_status *status)
{
    struct crosh_control *control;
    Control__StatusReply *reply = NULL;

    memset(status, 0, sizeof(*status));
    if (crosh_priv_vm_probe(name) == CROSH_VM_DEAD)
        return;
    /* Held, but not (yet) answering: on its way up, as far as anyone can tell. */
    status->state = CROSH_VM_STARTING;
    control = crosh_priv_control_open(name, timeout_ms, NULL);
    if (control == NULL)
        return;
    status->is_hung = true;
    if (crosh_priv_control_status(control, timeout_ms, &reply, NULL) == 0) {
        status->is_hung = false;
        copy_reply(reply, status);
        control__status_reply__free_unpacked(reply, NULL);
    }
    crosh_priv_control_close(control);
}

enum crosh_vm_state crosh_vm_state(const char *name)
{
    struct crosh_vm_status status;

    if (crosh_vm_check_name(name, NULL) < 0)
        return CROSH_VM_STOPPED;
    crosh_priv_vm_query(name, QUERY_TIMEOUT_MS, &status);
    return status.state;
}

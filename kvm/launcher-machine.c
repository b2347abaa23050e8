/* SPDX-License-Identifier: MIT */
/* The machine of a VM, and the agent in its guest: made, made anew at a reboot, taken down. */
#include "kvm/launcher-disks.h"
#include "kvm/launcher-internal.h"
#include "kvm/launcher-shares.h"
#include "kvm/launcher-vsock.h"

#include <errno.h>
#include <stdio.h>

/* The guest link */

void launcher_is_ready(struct launcher *l)
{
    if (l->state == CONTROL__STATE__STARTING)
        launcher_send_state(l, CONTROL__STATE__RUNNING);
}

void launcher_agent_ready(struct launcher *l)
{
    launcher_reach_stage(l, CONTROL__STAGE__STAGE_AGENT);
    if (!launcher_shares_hello(l))
        launcher_is_ready(l);
}

static void on_hello(void *opaque, const Guest__Hello *hello)
{
    struct launcher *l = opaque;

    launcher_copy_guest_text(l->agent_version, sizeof(l->agent_version), hello->agent_version);
    launcher_copy_guest_text(l->kernel_release, sizeof(l->kernel_release), hello->kernel_release);
    launcher_state_hello(l);
    launcher_stop_hello(l);
    if (!launcher_upgrade_hello(l, hello))
        launcher_agent_ready(l);
}

static void on_ending(void *opaque, Guest__Ending__Kind kind)
{
    struct launcher *l = opaque;

    l->reboot_announced = kind == GUEST__ENDING__KIND__REBOOT;
    if (l->state == CONTROL__STATE__RUNNING)
        launcher_send_state(l, CONTROL__STATE__STOPPING);
}

static void on_share_reply(void *opaque, const Guest__ShareReply *reply)
{
    launcher_shares_reply(opaque, reply);
}

static void on_agent_lost(void *opaque)
{
    struct launcher *l = opaque;

    /* A guest that goes down takes its streams along; otherwise the agent will dial again. */
    if (l->state == CONTROL__STATE__RUNNING)
        fprintf(stderr, "crosh-vm: the agent's stream ended\n");
}

/* The machine */

static void on_vsock_started(void *opaque)
{
    launcher_reach_stage(opaque, CONTROL__STAGE__STAGE_KERNEL);
}

static void on_console_output(void *opaque, const void *data, size_t size)
{
    struct launcher *l = opaque;

    console_log_write(l->console, data, size);
}

void launcher_on_console_input(void *opaque, const void *data, size_t size)
{
    struct launcher *l = opaque;

    if (l->machine != NULL)
        l->backend->console_input(l->machine, data, size);
}

static void on_machine_ended(void *opaque, enum machine_end end, const char *detail)
{
    struct launcher *l = opaque;

    switch (end) {
    case MACHINE_END_POWEROFF:
        launcher_end(l, CONTROL__END_REASON__END_POWEROFF, detail);
        return;
    case MACHINE_END_RESET:
        if (l->reboot_announced && l->stop_step == STOP_NONE && !l->config->no_reboot)
            event_timer_set(l->reboot, 0);
        else
            launcher_end(l, CONTROL__END_REASON__END_RESET, detail);
        return;
    case MACHINE_END_CRASH:
        if (l->end_reason == CONTROL__END_REASON__END_NONE)
            launcher_report_crash(l, detail);
        launcher_end(l, CONTROL__END_REASON__END_CRASH, detail);
        return;
    }
}

void launcher_machine_down(struct launcher *l)
{
    launcher_state_machine_gone(l);
    launcher_figures_cancel(l);
    if (l->machine != NULL)
        l->backend->destroy(l->machine);
    l->machine = NULL;
    launcher_disks_down(l);
    launcher_shares_down(l);
    launcher_vsock_down(l);
    guest_link_free(l->link);
    l->link = NULL;
}

int launcher_machine_up(struct launcher *l, struct crosh_error *err)
{
    static const struct guest_link_ops link_ops = {.hello = on_hello,
                                                   .ending = on_ending,
                                                   .share = on_share_reply,
                                                   .lost = on_agent_lost,
                                                   .agent_read = launcher_on_agent_read,
                                                   .upgrade_failed = launcher_on_upgrade_failed};
    struct machine_host host = {.loop = l->loop,
                                .opaque = l,
                                .console_output = on_console_output,
                                .ended = on_machine_ended,
                                .refreshed = launcher_on_refreshed,
                                .balloon_changed = launcher_on_balloon_changed,
                                .disk_full = launcher_on_disk_full,
                                .disk_gone = launcher_on_disk_gone,
                                .share_gone = launcher_on_share_gone};
    struct snapshot snapshot;

    l->stage_count = 0;
    l->reboot_announced = false;
    launcher_upgrade_reset(l);
    l->link = guest_link_new(l->loop, &link_ops, l);
    if (l->link == NULL)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    if (launcher_vsock_up(l, err) < 0)
        return err->code;
    l->vsock->on_first_start = on_vsock_started;
    l->vsock->on_first_start_opaque = l;
    host.vsock = l->vsock;
    if (launcher_state_prepare(l, &host, &snapshot, err) < 0)
        return err->code;
    l->machine = l->backend->create(&l->machine_config, &host, err);
    snapshot_unload(&snapshot);
    l->machine_config.restore = NULL;
    if (l->machine == NULL)
        return err->code;
    launcher_state_created(l);
    launcher_send_state(l, CONTROL__STATE__STARTING);
    launcher_reach_stage(l, CONTROL__STAGE__STAGE_LAUNCHER);
    return l->backend->start(l->machine, err);
}

void launcher_on_reboot(void *opaque)
{
    struct launcher *l = opaque;
    struct crosh_error err = {0};

    launcher_machine_down(l);
    if (launcher_machine_up(l, &err) < 0) {
        launcher_end(l, CONTROL__END_REASON__END_CRASH,
                     "the guest rebooted and could not be booted");
        crosh_error_set(&l->end_error, err.code, "rebooting: %s", err.message);
    }
}

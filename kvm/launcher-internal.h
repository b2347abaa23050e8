/* SPDX-License-Identifier: MIT */
/* The launcher's state, and what its files ask of each other; all on the loop's thread. */
#ifndef KVM_LAUNCHER_INTERNAL_H
#define KVM_LAUNCHER_INTERNAL_H

#include "kvm/console-log.h"
#include "kvm/control/server.h"
#include "kvm/guest-link.h"
#include "kvm/launcher-state.h"
#include "kvm/launcher.h"
#include "kvm/process-times.h"
#include "kvm/wall-clock.h"

#define LAUNCHER_STAGES 3

enum stop_step {
    STOP_NONE,
    STOP_ASKED,  /* the agent was asked to power off */
    STOP_BUTTON, /* the ACPI power button was pressed */
};

struct launcher {
    const struct launcher_config *config;
    struct machine_config machine_config;
    uint64_t start_us;

    struct event_loop *loop;
    int signal_fd;
    struct event_source *signals;
    struct control_server *control;
    struct console_log *console;
    struct guest_link *link;

    const struct machine_backend *backend;
    struct virtio_device *vsock;
    struct vsock_bridge *bridge; /* the host's side, where the kernel serves vsock; else NULL */
    int vhost_fd;                /* of the kernel's device; -1 */
    char *bridge_cmdline;        /* with what the guest must know of it; may be NULL */
    struct machine *machine;
    struct event_source *reboot; /* boots again, out of the old machine's callbacks */

    Control__State state;
    Control__StageTime stage[LAUNCHER_STAGES];
    Control__StageTime *stage_list[LAUNCHER_STAGES];
    size_t stage_count;
    char notice[768];
    char agent_version[64];
    char kernel_release[96];
    bool reboot_announced;
    struct wall_clock *wall_clock;
    struct launcher_upgrade *upgrade; /* of the agent; launcher-upgrade.c's own; NULL: none */

    struct launcher_state pause;
    struct disk_wait *disk_waits;   /* launcher-disks.c's own */
    struct share_wait *share_waits; /* launcher-shares.c's own */
    unsigned int full_disks;        /* how many wait for room on the host */
    Control__State state_before_full;

    enum stop_step stop_step;
    uint32_t stop_timeout_ms; /* 0: by backend */
    int64_t button_deadline;  /* until when the power button is pressed; CLOCK_MONOTONIC, ms */
    struct event_source *stop_timer;

    /* Calls that wait for figures of the guest (launcher-figures.c). */
    struct launcher_waiting *waiting;
    struct event_source *refresh_timer;
    struct process_times times; /* ours */

    Control__EndReason end_reason;
    struct crosh_error end_error; /* message: the detail */
};

/* launcher.c: a file's path in the runtime directory, to be freed; NULL without memory. */
char *launcher_path(const struct launcher *l, const char *name);

/* launcher-events.c: each notes what happened and tells it to the subscribers. */
/* Microseconds since the process's start. */
uint64_t launcher_uptime_us(const struct launcher *l);
void launcher_send_state(struct launcher *l, Control__State state);
void launcher_reach_stage(struct launcher *l, Control__Stage stage);
/* l->notice: why the first choice of accelerator was not taken. */
void launcher_send_notice(struct launcher *l);
/* Adds a sentence to it and tells that alone. */
void launcher_add_notice(struct launcher *l, const char *fmt, ...) CROSH_PRINTF(2, 3);
/* A guest's words in a buffer of ours, without what could play tricks on a terminal. */
void launcher_copy_guest_text(char *to, size_t size, const char *from);
void launcher_send_ended(struct launcher *l);
/* Notes how the VM ended, the first reason only, and lets the loop return. */
void launcher_end(struct launcher *l, Control__EndReason reason, const char *detail);

void launcher_send_balloon(struct launcher *l);

/* launcher-figures.c: answers that need the guest's word, which it may not give. */
typedef void launcher_answer_fn(struct launcher *l, struct control_call *call);
/* Before confinement: it opens files of /proc. */
int launcher_figures_init(struct launcher *l, struct crosh_error *err);
void launcher_figures_fini(struct launcher *l);
/* Runs fn, which answers call, once the guest has told its figures or has had time enough to. */
void launcher_with_figures(struct launcher *l, struct control_call *call, launcher_answer_fn *fn);
/* machine_host's. opaque: the launcher. */
void launcher_on_refreshed(void *opaque);
void launcher_on_balloon_changed(void *opaque);
/* The machine goes: answers all that wait, with an error. */
void launcher_figures_cancel(struct launcher *l);

/* launcher-machine.c */
/* Builds vsock device, guest link and machine, and starts the guest. Takes nothing down on failure.
 */
int launcher_machine_up(struct launcher *l, struct crosh_error *err);
/* The agent has come, and has what it needs: the VM is up. */
void launcher_is_ready(struct launcher *l);
/* Takes down what there is. */
void launcher_machine_down(struct launcher *l);
/* Timer of l->reboot: boots again, out of the old machine's callbacks. opaque: the launcher. */
void launcher_on_reboot(void *opaque);
/* Bytes that a person types into the console. opaque: the launcher. */
void launcher_on_console_input(void *opaque, const void *data, size_t size);

/* The guest's agent is the one that it will be: the VM is ready. */
void launcher_agent_ready(struct launcher *l);

/* launcher-upgrade.c: another program for the guest's agent, offered when it says hello. */
/* Opens the host's copy, before confinement. 0 also when there is none that can be offered. */
int launcher_upgrade_init(struct launcher *l, struct crosh_error *err);
void launcher_upgrade_fini(struct launcher *l);
/* Before each boot. */
void launcher_upgrade_reset(struct launcher *l);
/* Whether the agent was offered another program: launcher_agent_ready() follows sooner or later. */
bool launcher_upgrade_hello(struct launcher *l, const Guest__Hello *hello);
/* guest_link_ops'. opaque: the launcher. */
void launcher_on_agent_read(void *opaque, uint64_t offset);
void launcher_on_upgrade_failed(void *opaque, const Guest__UpgradeFailed *failed);

/* launcher-crash.c: leaves a report of the guest's crash for "vmc crash"; the machine is still
 * there. */
void launcher_report_crash(const struct launcher *l, const char *detail);

/* launcher-stop.c */
/*
 * Asks the agent, presses the power button, ends it; each step when the one before it did
 * not do within timeout_ms (0: by backend). force: at once, for the reason that who tells.
 */
void launcher_stop(struct launcher *l, bool force, uint32_t timeout_ms, const char *who);
/* The guest's agent has come: one that was asked to stop before is told. */
void launcher_stop_hello(struct launcher *l);
/* Timer of l->stop_timer. opaque: the launcher. */
void launcher_on_stop_timer(void *opaque);

#endif

/* SPDX-License-Identifier: MIT */
/* What the launcher knows of pauses and snapshots; all on the loop's thread. */
#ifndef KVM_LAUNCHER_STATE_H
#define KVM_LAUNCHER_STATE_H

#include <stdbool.h>

#include "kvm/control/server.h"
#include "kvm/snapshot/snapshot.h"

/* As many as there are clients of the control socket. */
#define LAUNCHER_PAUSE_CALLS 32

struct launcher;
struct machine_host;
struct snapshot_job;

/* Part of struct launcher; zeroes are its beginning. */
struct launcher_state {
    bool is_paused;              /* by request */
    Control__State state_before; /* of the VM, which it has again when it goes on */
    unsigned int call_count;     /* requests to pause that wait until it stands still */
    struct control_call *call[LAUNCHER_PAUSE_CALLS];
    struct snapshot_job *job; /* the snapshot being taken; NULL: none */
    bool is_restored;         /* from a snapshot, and the agent has not been told yet */
    bool has_begun;           /* a machine was made: the next one is a reboot's */
};

/*
 * Around machine_backend's create and start: sets the host's callbacks and, for the
 * first machine of a launcher that shall begin from a snapshot, reads it into snapshot
 * and config. To be unloaded and taken out of config after create, whatever comes of it.
 */
int launcher_state_prepare(struct launcher *l, struct machine_host *host, struct snapshot *snapshot,
                           struct crosh_error *err);
/* Between create and start: pauses a machine that shall begin so. */
void launcher_state_created(struct launcher *l);
/* The agent has come. */
void launcher_state_hello(struct launcher *l);
/* The machine is about to go: what waits for it is told that it did not happen. */
void launcher_state_machine_gone(struct launcher *l);

/* One of the shared directories that the guest is to leave before a snapshot: it has, or not; maybe
   it was the last one. */
void launcher_state_share_left(struct launcher *l, int code, const struct crosh_error *err,
                               bool is_last);

/* Answers the call once the guest stands still. */
int launcher_pause(struct launcher *l, struct control_call *call, struct crosh_error *err);
/* Takes that back, at once; for one that is not paused nothing happens. */
void launcher_resume(struct launcher *l);
/*
 * Takes a snapshot into two files (see kvm/snapshot/), whose descriptors come with the
 * call: first the state's, then the memory's. Answers once both are on the disk; then
 * the VM goes on as before, or ends (stop).
 */
int launcher_snapshot(struct launcher *l, struct control_call *call, bool stop,
                      struct crosh_error *err);

#endif

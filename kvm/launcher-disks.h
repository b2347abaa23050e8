/* SPDX-License-Identifier: MIT */
/* The disks of a VM that runs: what it is to have at its next boot, and who waits for a change. */
#ifndef KVM_LAUNCHER_DISKS_H
#define KVM_LAUNCHER_DISKS_H

#include "kvm/control/server.h"
#include "kvm/machine.h"

struct launcher;

/* Gives the disks of the command line their names, and checks that these are unique. */
int launcher_name_disks(struct machine_config *config, struct crosh_error *err);

/*
 * Attaches a disk, whose descriptor becomes the launcher's, also on failure; the guest has it
 * again after a reboot. name empty: the first free one is taken. Answers the call, now or
 * later.
 */
void launcher_disk_attach(struct launcher *l, struct control_call *call,
                          const struct machine_disk *disk);
/* Asks the guest for a disk and answers the call when it is given back, or after timeout_ms that
   it was not; then it may still come. */
void launcher_disk_detach(struct launcher *l, struct control_call *call, const char *name,
                          uint32_t timeout_ms);
void launcher_disk_resize(struct launcher *l, struct control_call *call, const char *name,
                          uint64_t bytes);
void launcher_disk_limit(struct launcher *l, struct control_call *call, const char *name,
                         const struct rate_limits *limits);

/*
 * Before the machine is made that begins from the snapshot: those of its disks that were attached
 * when it was taken become so again, which can be detached and are forgotten then.
 */
int launcher_disks_restore(struct launcher *l, const struct snapshot *snapshot,
                           struct crosh_error *err);

/* The names of the disks that wait for room on the host, as long as nothing changes; how many. */
size_t launcher_full_disks(struct launcher *l, char *names[MACHINE_MAX_DISKS]);

/* For struct machine_host; opaque: the launcher. */
void launcher_on_disk_full(void *opaque, const char *name, bool is_full);
void launcher_on_disk_gone(void *opaque, const char *name);
/* The machine is gone: answers whoever waits. */
void launcher_disks_down(struct launcher *l);
/* Closes the descriptors of attached disks. */
void launcher_disks_fini(struct launcher *l);

#endif

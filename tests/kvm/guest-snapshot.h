/* SPDX-License-Identifier: MIT */
/* Takes snapshots of bare-metal guests and restores them: a directory, and the two ways. */
#ifndef TESTS_KVM_GUEST_SNAPSHOT_H
#define TESTS_KVM_GUEST_SNAPSHOT_H

#include "kvm/snapshot/snapshot.h"
#include "tests/kvm/guest-run.h"

/* A directory of one test's own, with a kernel file in it and what else the test makes. */
struct guest_place {
    char dir[32];
    char kernel[64], state[64], memory[64], disk[64], other_disk[64];
    struct machine_config config;
};

/* Skips the test on a host without /dev/kvm. */
void guest_place_init(struct guest_place *place, const struct guest_program *program,
                      unsigned int vcpus);
/* Removes it all; fails the test if there is more. */
void guest_place_fini(struct guest_place *place);
/* Makes a disk of 1 MiB. */
void guest_place_make_disk(const char *path);

/* Runs the place's machine until the guest has written something. */
void guest_snapshot_run(struct guest_run *run, struct guest_place *place);
/* Has the machine stand still and writes both files. */
void guest_snapshot_take(struct guest_run *run, struct guest_place *place);
/* A machine in the saved state, not started. snapshot: what it began from, unloaded again. */
void guest_snapshot_restore(struct guest_run *run, struct guest_place *place,
                            struct snapshot *snapshot);

#endif

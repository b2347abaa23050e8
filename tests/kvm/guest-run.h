/* SPDX-License-Identifier: MIT */
/* Runs a bare-metal guest step by step: its machine, its output, and what it is waited for. */
#ifndef TESTS_KVM_GUEST_RUN_H
#define TESTS_KVM_GUEST_RUN_H

#include <stdbool.h>
#include <stddef.h>

#include "kvm/machine.h"
#include "tests/kvm/guest-programs.h"

#define GUEST_RUN_OUTPUT_MAX 65536

struct guest_run {
    struct event_loop *loop;
    struct machine *machine;
    struct event_source *timer;
    bool is_late;
    /* The last bytes that the guest wrote, and how many it wrote in all. */
    char output[GUEST_RUN_OUTPUT_MAX];
    size_t output_size;
    unsigned long output_total;
    bool has_ended;
    enum machine_end end;
    char detail[1024];
    unsigned int paused_calls;
    bool is_quiet; /* as the last of them said */
    unsigned int disks_gone;
    char gone_disk[MACHINE_DISK_NAME]; /* the last of them */
};

/* Skips the test on a host without /dev/kvm. */
void guest_run_need_kvm(void);
/* The program as a kernel file, on x86 loaded and entered at 1 MiB; path: a template of mkstemp. */
void guest_run_write_kernel(char *path, const struct guest_program *program);
/* Builds the machine and does not start it. Fails the test if that fails. */
void guest_run_create(struct guest_run *run, const struct machine_config *config);
/* The same for a program, with 64 MiB of memory. */
void guest_run_build(struct guest_run *run, const struct guest_program *program,
                     unsigned int vcpus);
void guest_run_start(struct guest_run *run);
/* Runs the loop until done() or 20 seconds are over; whether it was done. */
bool guest_run_until(struct guest_run *run, bool (*done)(struct guest_run *run));
/* What to wait for: that the guest has written something, that the machine stands still with no
   request under way, that it ended. */
bool guest_run_has_output(struct guest_run *run);
bool guest_run_is_quiet(struct guest_run *run);
bool guest_run_has_ended(struct guest_run *run);
/* Skips the test without /dev/kvm; else builds a program's machine, starts it, and runs it until
   the guest has written something. */
void guest_run_until_output(struct guest_run *run, const struct guest_program *program,
                            unsigned int vcpus);
/* The same until it has ended. */
void guest_run_until_end(struct guest_run *run, const struct guest_program *program,
                         unsigned int vcpus);
/* Has a machine that runs stand still. */
void guest_run_pause(struct guest_run *run, enum machine_pause reason);
/* Runs the loop for that long, come what may. */
void guest_run_for(struct guest_run *run, int64_t ms);
void guest_run_free(struct guest_run *run);

#endif

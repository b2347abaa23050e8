/* SPDX-License-Identifier: MIT */
/* All that can be known of a VM's run: asked of its launcher. */
#ifndef CROSH_VM_STATE_H
#define CROSH_VM_STATE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <crosh/vm.h>

struct crosh_vm_status {
    enum crosh_vm_state state;
    bool is_hung;  /* the launcher took the question and does not answer */
    bool answered; /* the launcher replied, and what follows is known */
    pid_t pid;
    char accel[16];
    char notice[768];
    char agent_version[64];
    char kernel_release[96];
    char confinement[96]; /* by the launcher's word: namespaces, "landlock", "seccomp" */
    unsigned int vcpus;
    uint64_t memory_bytes;
    uint64_t uptime_us;
    unsigned int cid;
    char full_disks[128]; /* those that wait for room on the host, separated by spaces */
};

/*
 * Fills *status; a VM that does not exist is a stopped one. A launcher that
 * does not answer within timeout_ms counts as starting.
 */
void crosh_priv_vm_query(const char *name, int timeout_ms, struct crosh_vm_status *status);

#endif

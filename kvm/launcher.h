/* SPDX-License-Identifier: MIT */
/* The life of one VM: from its files and sockets over its stages to the way it ended. */
#ifndef KVM_LAUNCHER_H
#define KVM_LAUNCHER_H

#include <sys/types.h>

#include "kvm/machine.h"
#include "kvm/sandbox/namespaces.h"

/* Descriptors that options name. */
#define LAUNCHER_MAX_FDS 64

enum launcher_accel {
    LAUNCHER_ACCEL_AUTO, /* KVM, else emulation */
    LAUNCHER_ACCEL_KVM,
    LAUNCHER_ACCEL_TCG,
};

struct launcher_config {
    struct machine_config machine; /* its cmdline is made by the launcher */
    const char *runtime_dir;
    const char *lock;    /* a file to hold beside the runtime directory's lock; may be NULL */
    const char *cmdline; /* the user's kernel parameters; may be NULL */
    const char *agent;   /* the host's copy of the agent, for guests with another; may be NULL */
    enum launcher_accel accel;
    uint32_t cid;
    bool has_kernel_vsock;   /* the host's kernel serves the vsock device (vhost-vsock) */
    int control_fd;          /* -1: none */
    const char *restore_dir; /* begin from the snapshot in there; NULL: boot */
    const char *verify_dir;  /* look whether the snapshot in there is undamaged, and nothing else */
    bool is_paused;          /* begin without letting the guest run */
    unsigned int fd_count;
    int fd[LAUNCHER_MAX_FDS]; /* all that were passed on purpose; others are closed at the start */
    pid_t pid; /* the process that stands for the VM: the supervisor, if there is one */
    enum namespaces_leave leave; /* of the process that the supervisor made */
    bool no_reboot;
    bool no_sandbox;
};

/*
 * Runs the VM, whose locks are held, until it ends. Returns the exit status that tells how
 * (control.proto's EndReason documents the numbers). start_us: CLOCK_MONOTONIC at the process's
 * start, in microseconds; stages are timed from there.
 */
int launcher_run(const struct launcher_config *config, uint64_t start_us);

#endif

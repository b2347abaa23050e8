/* SPDX-License-Identifier: MIT */
/* Confines the launcher before its guest's first instruction. */
#ifndef KVM_SANDBOX_SANDBOX_H
#define KVM_SANDBOX_SANDBOX_H

#include <crosh/error.h>

#include <stdbool.h>
#include <stddef.h>

#include "kvm/sandbox/namespaces.h"

/* What a thread does decides which system calls are left to it. */
enum sandbox_thread {
    SANDBOX_THREAD_LOOP, /* the event loop; builds machines, makes threads */
    SANDBOX_THREAD_VCPU,
    SANDBOX_THREAD_DISK,
    SANDBOX_THREAD_NET,
    SANDBOX_THREAD_COUNT,
};

/*
 * What programs that are run later inherit without harm, QEMU for one: no new
 * privileges; no core dumps, neither of this process nor of them; nobody may trace
 * this one.
 */
int sandbox_harden(struct crosh_error *err);

/* What a VM has that few have, and what the loop's thread may do for it alone. */
enum {
    SANDBOX_KERNEL_VSOCK = 1 << 0, /* vhost-vsock's requests, and sockets of its family */
};

/*
 * The whole of it, while there is one thread only. From then on no program can be
 * run, no file reached but those in runtime_dir (absolute) and /dev/kvm, and every thread
 * has to call sandbox_enter_thread(). leave: as the process was made; extras: a set of
 * SANDBOX_*. What the host does not
 * offer (namespaces, Landlock) is named in a line on stderr; the rest is an error.
 */
int sandbox_enter(const char *runtime_dir, enum namespaces_leave leave, unsigned int extras,
                  struct crosh_error *err);

/* What a supervisor needs less of: it waits for child and writes into runtime_dir. */
int sandbox_enter_supervisor(const char *runtime_dir, pid_t child, struct crosh_error *err);

/*
 * The same for a launcher that runs an emulator, now and at reboots: what both can live with. It
 * may read what programs need (/usr and the like), program's own place and the files that are
 * given; write those that are writable, and runtime_dir.
 */
struct sandbox_file {
    const char *path;
    bool writable;
};
int sandbox_enter_emulator(const char *runtime_dir, enum namespaces_leave leave,
                           const struct sandbox_file *files, size_t count, struct crosh_error *err);

/* The layers that the process has entered, as control.proto's StatusReply names them. */
const char *sandbox_layers(void);

/*
 * Leaves the calling thread the system calls of its part, and ends the process at
 * any other. Without sandbox_enter() before: does nothing. Threads that this one
 * makes later have at most its own calls. 0 or a negative errno.
 */
int sandbox_enter_thread(enum sandbox_thread thread);

#endif

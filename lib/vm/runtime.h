/* SPDX-License-Identifier: MIT */
/* A VM's runtime directory: who holds it, what its launcher left there. */
#ifndef CROSH_VM_RUNTIME_H
#define CROSH_VM_RUNTIME_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <crosh/error.h>

/*
 * Two locks live beside the VM's configuration, in <data>/vms/NAME/, so that they
 * hold whatever runtime directory a session has:
 *
 *   lock     held exclusively by crosh-vm for its whole life: a VM runs exactly
 *            as long as this lock is held. It holds one line, the runtime directory
 *            of that run (and, afterwards, of the last one).
 *   op.lock  held exclusively by a command that starts, changes or destroys the
 *            VM, and shared while somebody probes "lock": so a probe, which has
 *            to take "lock" for a moment, never meets a launcher that is just
 *            about to take it.
 *
 * A launcher also holds "lock" of its runtime directory, where VMs of the same name
 * from different data directories would meet.
 */

/*
 * Opens this session's runtime directory for the VM, making it when it is not there.
 * Returns a descriptor or a negative code.
 */
int crosh_priv_vm_runtime_open(const char *name, struct crosh_error *err);

/*
 * Opens the runtime directory that the VM runs or last ran in; when none is known, this
 * session's. Makes nothing: -ENOENT when there is no such directory.
 */
int crosh_priv_vm_runtime_find(const char *name, struct crosh_error *err);

/* The path of the directory that the VM runs or last ran in; NULL when none is known. */
char *crosh_priv_vm_runtime_recorded(const char *name);

/*
 * Takes op.lock for a change to the VM, waiting at most timeout_ms. Returns a
 * descriptor whose closing unlocks, or -EBUSY with an error.
 */
int crosh_priv_vm_operation_lock(const char *name, int timeout_ms, struct crosh_error *err);

enum crosh_vm_liveness {
    CROSH_VM_DEAD,
    CROSH_VM_ALIVE,    /* a launcher holds the VM */
    CROSH_VM_CHANGING, /* another command holds it; its launcher may be about to run */
};

/*
 * Whether a launcher holds the VM. Leftovers of a launcher that was killed are
 * removed, and "ended" tells the fact from then on.
 */
enum crosh_vm_liveness crosh_priv_vm_probe(const char *name);

/* As crosh_priv_vm_probe(), for the holder of op.lock. */
enum crosh_vm_liveness crosh_priv_vm_probe_locked(const char *name);

/*
 * The process that holds "lock", by the kernel's table of locks; -1 when nobody
 * does or the table does not tell.
 */
pid_t crosh_priv_vm_holder(const char *name);

/* How the VM's last run ended: the launcher's "ended" file. */
struct crosh_vm_ended {
    char reason[16]; /* poweroff, reset, crash, killed, failed; empty: unknown */
    char detail[256];
    int status; /* crosh-vm's exit status; -1: it was killed itself */
    int64_t time;
};

/* 1 when it is known, else 0. */
int crosh_priv_vm_ended_read(const char *name, struct crosh_vm_ended *ended);

#endif

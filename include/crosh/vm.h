/* SPDX-License-Identifier: MIT */
/* VMs as every module sees them: names, where their files are, how to reach them. */
#ifndef CROSH_VM_H
#define CROSH_VM_H

#include <stdbool.h>
#include <stddef.h>

#include <crosh/command.h>
#include <crosh/error.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Functions that return paths or lists return heap memory that the caller
 * frees; NULL only for lack of memory unless an error parameter says otherwise.
 * All are thread-safe unless noted.
 */

/* Longest VM name in bytes. Names match [a-z0-9][a-z0-9-]*: they are file and host names too. */
#define CROSH_VM_NAME_MAX 63

/* 0, or CROSH_EUSAGE with a message that quotes the name safely; the hint states the rule. */
int crosh_vm_check_name(const char *name, struct crosh_error *err);

/* $XDG_DATA_HOME/crosh, or ~/.local/share/crosh. */
char *crosh_data_dir(void);
/*
 * $XDG_RUNTIME_DIR/crosh, or, without that variable, a directory /tmp/crosh-UID.
 * Created 0700 when absent; refused with an error when it is a link or not ours, and when
 * XDG_RUNTIME_DIR is not the user's alone. NULL on error.
 */
char *crosh_runtime_dir(struct crosh_error *err);
/* <data>/vms/NAME */
char *crosh_vm_dir(const char *name);
/* <runtime>/NAME: where the VM runs if it is started by this session; NULL on error */
char *crosh_vm_runtime_dir(const char *name, struct crosh_error *err);

enum crosh_vm_state {
    CROSH_VM_STOPPED,
    CROSH_VM_STARTING, /* crosh-vm runs, the agent is not yet ready */
    CROSH_VM_RUNNING,  /* the agent is ready */
    CROSH_VM_STOPPING,
    CROSH_VM_PAUSED,
};
const char *crosh_vm_state_name(enum crosh_vm_state state);

/* The names of all VMs that exist, sorted, NULL-terminated; free with crosh_strv_free(). */
char **crosh_vm_names(struct crosh_error *err);
void crosh_strv_free(char **strv);

/* Whether the VM exists (its directory has a configuration). */
bool crosh_vm_exists(const char *name);

/* Its state now: asks its launcher, cleaning up after one that was killed. */
enum crosh_vm_state crosh_vm_state(const char *name);

/*
 * Opens a stream to a vsock port of the guest through the VM's vsock.sock
 * (writes "CONNECT <port>\n", reads "OK <n>\n"). Returns a connected, blocking,
 * close-on-exec descriptor, or: -ENOENT no such VM, -ENOTCONN not running,
 * -ECONNREFUSED nothing listens there, -ETIMEDOUT.
 */
int crosh_vm_connect(const char *name, unsigned int port, int timeout_ms, struct crosh_error *err);

/* Completers for parameters that name a VM: any, only running ones, only stopped ones. */
crosh_complete_fn crosh_complete_vm;
crosh_complete_fn crosh_complete_vm_running;
crosh_complete_fn crosh_complete_vm_stopped;

#ifdef __cplusplus
}
#endif
#endif

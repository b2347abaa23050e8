/* SPDX-License-Identifier: MIT */
/* The store of VMs: making, changing and destroying them under one lock. */
#ifndef CROSH_VM_STORE_H
#define CROSH_VM_STORE_H

#include <crosh/error.h>

#include "lib/vm/config.h"

/*
 * 0 when there is a VM of that name; otherwise CROSH_EUSAGE for what is no name,
 * -ENOENT.
 */
int crosh_priv_vm_require(const char *name, struct crosh_error *err);

/* The VM whose containers need not have it in front of their names. */
#define CROSH_DEFAULT_VM "termina"

/*
 * Of a name on the heap that stands alone (*container is NULL): one that no VM has is a container's
 * in CROSH_DEFAULT_VM, where that is there. Takes the names over; 0 or -ENOMEM.
 */
int crosh_priv_vm_or_container(char **vm, char **container, struct crosh_error *err);

/* Makes a VM with this configuration. -EEXIST when there is one of that name. */
int crosh_priv_vm_create(const char *name, struct crosh_vm_config *config, struct crosh_error *err);

/* Replaces the configuration of a VM that exists. */
int crosh_priv_vm_update(const char *name, struct crosh_vm_config *config, struct crosh_error *err);

/*
 * Removes the VM with all its data and its runtime directory. The caller holds
 * the VM's operation lock and knows that it does not run.
 */
int crosh_priv_vm_destroy(const char *name, struct crosh_error *err);

#endif

/* SPDX-License-Identifier: MIT */
/* Completers for parameters that name a container, or a VM or a container in one of several forms.
 */
#ifndef CROSH_VM_COMPLETE_CONTAINER_H
#define CROSH_VM_COMPLETE_CONTAINER_H

#include <crosh/command.h>

/*
 * Containers are LXD's to tell, in the running VM. It is asked as the commands of "vmc container"
 * complete their own arguments, so that who calls these need not be linked with a client of it;
 * there are no containers where that module is not installed. A VM that does not answer costs a
 * bounded time, and so do all of them together.
 */

/* Running containers of the VM that the argument "vm" names. */
crosh_complete_fn crosh_priv_complete_container;

/* Running VMs and their running containers: "VM" and "VM/CONTAINER", or, for paths of theirs, with
   a colon behind. */
crosh_complete_fn crosh_priv_complete_guest, crosh_priv_complete_place;

/* Running containers as hosts of the VMs' network: "penguin" (of termina) and "CONTAINER.VM". */
crosh_complete_fn crosh_priv_complete_host;

#endif

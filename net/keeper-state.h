/* SPDX-License-Identifier: MIT */
/* What a keeper leaves written of its VMs, for the one after it if it is killed. */
#ifndef NET_KEEPER_STATE_H
#define NET_KEEPER_STATE_H

#include "net/keeper.h"

/* Writes the VMs that there are to the file "vms" of the working directory; none: there is no file.
 */
void keeper_state_save(const struct keeper *keeper);

/*
 * Takes over the VMs that an earlier keeper wrote down and whose links are still there, with
 * their published ports. In a namespace of our own theirs are lost: that is noticed.
 */
void keeper_state_load(struct keeper *keeper);

#endif

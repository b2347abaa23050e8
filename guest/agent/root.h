/* SPDX-License-Identifier: MIT */
/* The root of an image with more than an initramfs: found, mounted and moved into. */
#ifndef AGENT_ROOT_H
#define AGENT_ROOT_H

#include <crosh/error.h>

/* A copy of the agent's program, which outlives the initramfs. */
#define ROOT_AGENT_COPY "/run/crosh/agent"

#define ROOT_INIT_MAX 64

/*
 * Where the initramfs names a root (/etc/crosh/root, see doc/protocols.md, "Images"): mounts
 * the disk read-only beneath a layer in memory or on the VM's own disk, and moves into it with all
 * that is mounted so far. 1: moved; 0: the initramfs is the root; negative with the reason, and
 * all is as before. init: that of the image, "" when the agent is to be it. For process 1.
 */
int root_enter(char init[ROOT_INIT_MAX], struct crosh_error *err);

/* Where there is such a copy of an agent, makes it one of this program: after an upgrade. */
void root_keep_agent(void);

#endif

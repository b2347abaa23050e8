/* SPDX-License-Identifier: MIT */
/* The root of an image with more than an initramfs: found, mounted and moved into. */
#ifndef AGENT_ROOT_H
#define AGENT_ROOT_H

#include <crosh/error.h>

/* A copy of the agent's program, which outlives the initramfs. */
#define ROOT_AGENT_COPY "/run/crosh/agent"

/*
 * Where the initramfs names a root (a file system's type in /etc/crosh/root): mounts the disk
 * read-only beneath a layer in memory, and moves into it with all that is mounted so far.
 * The disk is /dev/vda, or what crosh.root= of the kernel's command line says. 1: moved; 0: the
 * initramfs is the root; negative with the reason, and all is as before. For process 1.
 */
int root_enter(struct crosh_error *err);

/* Where there is such a copy of an agent, makes it one of this program: after an upgrade. */
void root_keep_agent(void);

#endif

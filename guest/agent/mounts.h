/* SPDX-License-Identifier: MIT */
/* The file systems that every guest needs, and leaving all file systems clean at the end. */
#ifndef AGENT_MOUNTS_H
#define AGENT_MOUNTS_H

/* Mounts /proc, /sys, /dev and their like; what fails is logged and done without. */
void mounts_make(void);

/* Unmounts what can be unmounted and makes the rest read-only. */
void mounts_end(void);

#endif

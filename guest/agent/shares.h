/* SPDX-License-Identifier: MIT */
/* Directories of the host's, mounted where programs and people look for them. */
#ifndef AGENT_SHARES_H
#define AGENT_SHARES_H

#include <stdbool.h>

#define SHARES_DIRECTORY "/mnt/shared"

/* Mounts the virtio-fs device of this tag at /mnt/shared/TAG. 0, or an errno: EINVAL, there is no
   such device. One that is mounted there already is well. */
int shares_mount(const char *tag, bool read_only);
/* Leaves it, and takes its mount point away. 0, or an errno: EBUSY, something uses it, here or
   where else it is mounted; EINVAL, it is not mounted. */
int shares_unmount(const char *tag);

#endif

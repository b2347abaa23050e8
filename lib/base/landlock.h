/* SPDX-License-Identifier: MIT */
/* Which files a process may still reach: landlock(7). */
#ifndef CROSH_BASE_LANDLOCK_H
#define CROSH_BASE_LANDLOCK_H

#include <stddef.h>

/* What may be done with a file, or with all that is below a directory. */
enum landlock_use {
    LANDLOCK_READ = 1 << 0,
    LANDLOCK_LIST = 1 << 1, /* directories */
    LANDLOCK_WRITE = 1 << 2,
    LANDLOCK_MAKE = 1 << 3, /* files and sockets, with removal; renaming within a directory */
    LANDLOCK_RUN = 1 << 4,
    LANDLOCK_DEVICE = 1 << 5, /* ioctl(2) of a device, on kernels that tell it from writing */
};

struct landlock_place {
    const char *path;
    unsigned int use; /* of a file, only that which can be done to files counts */
};

/* What is left beside files, on kernels that could take it. */
enum landlock_kept {
    LANDLOCK_KEEP_TCP = 1 << 0,     /* binding and connecting */
    LANDLOCK_KEEP_SIGNALS = 1 << 1, /* to processes that are not confined by the same rules */
};

/*
 * Leaves this thread, and those and the children that it makes, these places and no others that it
 * has not open; a place that does not exist is passed over. Needs no_new_privs. 0; -ENOSYS or
 * -EOPNOTSUPP: the kernel has no Landlock; another negative errno.
 */
int landlock_confine(const struct landlock_place *places, size_t count, unsigned int kept);

#endif

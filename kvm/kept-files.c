/* SPDX-License-Identifier: MIT */
/* Implements kept files: a table of the process's, as descriptors are. */
#include "kvm/kept-files.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "kvm/machine.h"

/* Kernel, initrd, a snapshot, disks. */
#define KEPT_MAX (4 + MACHINE_MAX_DISKS)

static struct {
    const char *path; /* as long as the launcher's arguments */
    int fd;
} kept[KEPT_MAX];
static size_t kept_count;

int kept_files_add(const char *path, int fd)
{
    if (kept_count == KEPT_MAX) {
        (void)close(fd);
        return -ENOSPC;
    }
    kept[kept_count].path = path;
    kept[kept_count++].fd = fd;
    return 0;
}

/* kept_count: there is none. */
static size_t find(const char *path, int flags)
{
    size_t i = 0;

    while (i < kept_count && (strcmp(kept[i].path, path) != 0 ||
                              ((fcntl(kept[i].fd, F_GETFL) ^ flags) & O_ACCMODE) != 0))
        i++;
    return i;
}

int kept_files_open(const char *path, int flags)
{
    size_t i = find(path, flags);

    return i < kept_count ? fcntl(kept[i].fd, F_DUPFD_CLOEXEC, 0) : open(path, flags);
}

int kept_files_take(const char *path, int flags)
{
    size_t i = find(path, flags);
    int fd;

    if (i == kept_count)
        return open(path, flags);
    fd = kept[i].fd;
    kept[i] = kept[--kept_count];
    return fd;
}

void kept_files_close(void)
{
    while (kept_count > 0)
        (void)close(kept[--kept_count].fd);
}

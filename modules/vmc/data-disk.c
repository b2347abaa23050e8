/* SPDX-License-Identifier: MIT */
/* Makes and grows data disks. */
#include "modules/vmc/data-disk.h"

#include <crosh/vm.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/cleanup.h"

int data_disk_prepare(const char *name, uint64_t bytes, char **path, struct crosh_error *err)
{
    cleanup_free char *dir = crosh_vm_dir(name);
    cleanup_free char *file = NULL;
    cleanup_close int fd = -1;
    struct stat st;

    if (dir == NULL || asprintf(&file, "%s/data.img", dir) < 0)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    fd = open(file, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0 || fstat(fd, &st) < 0)
        return crosh_error_errno(err, "the data disk %s", file);
    if (!S_ISREG(st.st_mode))
        return crosh_error_set(err, -EINVAL, "the data disk %s is not a file", file);
    if (bytes == 0 && st.st_size == 0)
        bytes = DATA_DISK_DEFAULT_BYTES;
    if (bytes != 0 && bytes < (uint64_t)st.st_size)
        return crosh_error_set(err, CROSH_EUSAGE,
                               "the data disk of VM %s has %lld MiB, and cannot become smaller",
                               name, (long long)(st.st_size >> 20));
    if (bytes > (uint64_t)st.st_size && ftruncate(fd, (off_t)bytes) < 0)
        return crosh_error_errno(err, "cannot make the data disk %s so large", file);
    *path = move_ptr(file);
    return 0;
}

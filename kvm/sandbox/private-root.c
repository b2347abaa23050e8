/* SPDX-License-Identifier: MIT */
/* Implements the almost empty root (pivot_root(2)). */
#include "kvm/sandbox/private-root.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <linux/mount.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/base/cleanup.h"

#define KVM_DEVICE "/dev/kvm"

/* Makes what leads to the last part of the path, below base. */
static int make_parents(const char *base, const char *path)
{
    cleanup_free char *whole = NULL;
    char *slash;

    if (asprintf(&whole, "%s%s", base, path) < 0) {
        whole = NULL;
        return -ENOMEM;
    }
    for (slash = strchr(whole + strlen(base) + 1, '/'); slash != NULL;
         slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(whole, 0755) < 0 && errno != EEXIST)
            return -errno;
        *slash = '/';
    }
    return 0;
}

/* A mount of what is at path, with all that is mounted below it, not yet attached anywhere. */
static int clone_mount(const char *path)
{
    return (int)syscall(SYS_open_tree, AT_FDCWD, path,
                        OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
}

/* Attaches the clone of what is at path at the same path below base. */
static int attach_below(const char *base, const char *path, int clone, bool is_directory)
{
    cleanup_free char *target = NULL;
    int code = make_parents(base, path);

    if (code < 0)
        return code;
    if (asprintf(&target, "%s%s", base, path) < 0) {
        target = NULL;
        return -ENOMEM;
    }
    if (is_directory) {
        if (mkdir(target, 0755) < 0 && errno != EEXIST)
            return -errno;
    } else {
        cleanup_close int file = open(target, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

        if (file < 0)
            return -errno;
    }
    return syscall(SYS_move_mount, clone, "", AT_FDCWD, target, MOVE_MOUNT_F_EMPTY_PATH) < 0
               ? -errno
               : 0;
}

int private_root_enter(const char *runtime_dir, const char **what)
{
    const unsigned long nothing = MS_NOSUID | MS_NODEV | MS_NOEXEC;
    cleanup_close int runtime_fd = -1;
    cleanup_close int kvm_fd = -1;
    int code;

    /* What happens here shall not happen outside. */
    *what = "mounts";
    if (mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0)
        return -errno;
    *what = "runtime directory";
    runtime_fd = clone_mount(runtime_dir);
    if (runtime_fd < 0)
        return -errno;
    kvm_fd = clone_mount(KVM_DEVICE);
    if (kvm_fd < 0 && errno != ENOENT)
        return -errno;
    /* The new root has to be mounted somewhere: on the one directory that is there for sure. */
    *what = "private root";
    if (mount("crosh-vm", runtime_dir, "tmpfs", nothing, "mode=0755,size=64k,nr_inodes=128") < 0)
        return -errno;
    code = attach_below(runtime_dir, runtime_dir, runtime_fd, true);
    if (code == 0 && kvm_fd >= 0)
        code = attach_below(runtime_dir, KVM_DEVICE, kvm_fd, false);
    if (code < 0)
        return code;
    /* The old root comes to lie on the new one, and is let go with all that is mounted in it. */
    if (chdir(runtime_dir) < 0 || syscall(SYS_pivot_root, ".", ".") < 0 ||
        umount2(".", MNT_DETACH) < 0 || chdir("/") < 0 ||
        mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | nothing, NULL) < 0)
        return -errno;
    return chdir(runtime_dir) < 0 ? -errno : 0;
}

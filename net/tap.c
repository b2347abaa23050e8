/* SPDX-License-Identifier: MIT */
/* Implements the making of tap interfaces. */
#include "net/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "lib/base/cleanup.h"

static int open_queue(const char *name, int flags, struct crosh_error *err)
{
    cleanup_close int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
    struct ifreq request = {.ifr_flags = (short)(IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | flags)};

    if (fd < 0) {
        int code = crosh_error_errno(err, "/dev/net/tun");

        if (code == -ENOENT)
            crosh_error_hint(err, "the kernel's driver is missing: modprobe tun");
        else if (code == -EACCES || code == -EPERM)
            crosh_error_hint(err, "let users make interfaces in their own namespaces: "
                                  "chmod 0666 /dev/net/tun");
        return code;
    }
    memcpy(request.ifr_name, name, strlen(name));
    if (ioctl(fd, TUNSETIFF, &request) < 0)
        return crosh_error_errno(err, "tap interface %s", name);
    return move_fd(fd);
}

int tap_make(const char *name, unsigned int queues, int fd[TAP_QUEUES_MAX], struct crosh_error *err)
{
    const int flags = queues > 1 ? IFF_MULTI_QUEUE : 0;
    unsigned int count;

    if (strlen(name) >= IFNAMSIZ)
        return crosh_error_set(err, -EINVAL, "tap interface %s: the name is too long", name);
    if (queues > TAP_QUEUES_MAX)
        queues = TAP_QUEUES_MAX;
    /* Exclusively: an interface of that name which has an owner already is somebody else's. */
    fd[0] = open_queue(name, flags | IFF_TUN_EXCL, err);
    if (fd[0] < 0)
        return fd[0];
    for (count = 1; count < queues; count++) {
        fd[count] = open_queue(name, flags, NULL);
        if (fd[count] < 0)
            break;
    }
    return (int)count;
}

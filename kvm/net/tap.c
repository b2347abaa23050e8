/* SPDX-License-Identifier: MIT */
/* A tap interface as a network card's host end: frames with offload headers, one descriptor a
   queue. */
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <net/ethernet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kvm/net/end.h"
#include "kvm/net/features.h"
#include "lib/base/cleanup.h"

/* From newer headers than those that must do (Linux 6.2). */
#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

enum { HEADER_BYTES = sizeof(struct virtio_net_hdr_v1) };

struct net_tap {
    struct net_end end; /* first */
    bool has_header;    /* each frame has a virtio_net_hdr_v1 before it */
    unsigned int active;
};

static struct net_tap *tap_of(struct net_end *end)
{
    return (struct net_tap *)(void *)end;
}

/* What an operation on the descriptor says of the interface; ok: for errors that cost a frame. */
static int judge(int error, int ok)
{
    switch (error) {
    case EAGAIN:
        return -EAGAIN;
    case EBADFD: /* the interface was deleted */
    case EBADF:
        return -ENOTCONN;
    default: /* EIO: it is down; EINVAL: nonsense of the guest's; ENOMEM ... */
        return ok;
    }
}

static int tap_send(struct net_end *end, unsigned int queue, struct iovec *segment,
                    unsigned int count, size_t bytes)
{
    unsigned int skip = tap_of(end)->has_header ? 0 : 1;

    (void)bytes;
    if (writev(end->fd[queue], segment + skip, (int)(count - skip)) >= 0)
        return 0;
    return judge(errno, 0);
}

static ssize_t tap_receive(struct net_end *end, unsigned int queue, struct iovec *segment,
                           unsigned int count)
{
    bool has_header = tap_of(end)->has_header;
    unsigned int skip = has_header ? 0 : 1;
    ssize_t n;

    if (!has_header)
        memset(segment[0].iov_base, 0, HEADER_BYTES);
    n = readv(end->fd[queue], segment + skip, (int)(count - skip));
    if (n < 0)
        return judge(errno, -EAGAIN);
    return n - (has_header ? HEADER_BYTES : 0);
}

static const struct {
    unsigned int flag;
    uint64_t guest, host; /* frames to the guest, frames from it */
} offloads[] = {
    {TUN_F_CSUM, NET_FEATURE(VIRTIO_NET_F_GUEST_CSUM), NET_FEATURE(VIRTIO_NET_F_CSUM)},
    {TUN_F_TSO4, NET_FEATURE(VIRTIO_NET_F_GUEST_TSO4), NET_FEATURE(VIRTIO_NET_F_HOST_TSO4)},
    {TUN_F_TSO6, NET_FEATURE(VIRTIO_NET_F_GUEST_TSO6), NET_FEATURE(VIRTIO_NET_F_HOST_TSO6)},
    {TUN_F_TSO_ECN, NET_FEATURE(VIRTIO_NET_F_GUEST_ECN), NET_FEATURE(VIRTIO_NET_F_HOST_ECN)},
    {TUN_F_USO4, NET_FEATURE(VIRTIO_NET_F_GUEST_USO4), NET_FEATURE(VIRTIO_NET_F_HOST_USO)},
    {TUN_F_USO6, NET_FEATURE(VIRTIO_NET_F_GUEST_USO6), NET_FEATURE(VIRTIO_NET_F_HOST_USO)},
};

static int tap_set_offloads(struct net_end *end, uint64_t features)
{
    unsigned long flags = 0;

    for (size_t i = 0; i < sizeof(offloads) / sizeof(offloads[0]); i++)
        if ((features & offloads[i].guest) != 0)
            flags |= offloads[i].flag;
    /* They belong to the interface: any queue's descriptor will do. */
    return ioctl(end->fd[0], TUNSETOFFLOAD, flags) < 0 ? -errno : 0;
}

static int tap_set_queues(struct net_end *end, unsigned int active)
{
    struct net_tap *tap = tap_of(end);

    while (tap->active != active) {
        bool attach = tap->active < active;
        struct ifreq request = {.ifr_flags = (short)(attach ? IFF_ATTACH_QUEUE : IFF_DETACH_QUEUE)};
        unsigned int queue = attach ? tap->active : tap->active - 1;

        if (ioctl(end->fd[queue], TUNSETQUEUE, &request) < 0)
            return -errno;
        tap->active = attach ? tap->active + 1 : tap->active - 1;
    }
    return 0;
}

static void tap_free(struct net_end *end)
{
    for (unsigned int i = 0; i < end->queue_count; i++)
        (void)close(end->fd[i]);
    free(tap_of(end));
}

static const struct net_end_ops tap_ops = {
    .send = tap_send,
    .receive = tap_receive,
    .set_offloads = tap_set_offloads,
    .set_queues = tap_set_queues,
    .free = tap_free,
};

/* What the interface can do of the offloads, by trying; it is left with none switched on. */
static uint64_t probe_features(struct net_end *end)
{
    const uint64_t base =
        NET_FEATURE(VIRTIO_NET_F_GUEST_CSUM) | NET_FEATURE(VIRTIO_NET_F_GUEST_TSO4) |
        NET_FEATURE(VIRTIO_NET_F_GUEST_TSO6) | NET_FEATURE(VIRTIO_NET_F_GUEST_ECN);
    /* The longest list first. USO for one of the IP versions alone the kernel refuses. */
    const uint64_t lists[] = {
        base | NET_FEATURE(VIRTIO_NET_F_GUEST_USO4) | NET_FEATURE(VIRTIO_NET_F_GUEST_USO6),
        base,
        NET_FEATURE(VIRTIO_NET_F_GUEST_CSUM),
    };
    uint64_t features = 0;

    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]) && features == 0; i++)
        if (tap_set_offloads(end, lists[i]) == 0)
            features = lists[i];
    (void)tap_set_offloads(end, 0);
    for (size_t i = 0; i < sizeof(offloads) / sizeof(offloads[0]); i++)
        if ((features & offloads[i].guest) != 0)
            features |= offloads[i].host;
    return features;
}

/* Takes the descriptors as they are attached; they stay the caller's if it fails. */
static struct net_end *tap_new(const int *fd, unsigned int count, struct crosh_error *err)
{
    cleanup_free struct net_tap *tap = calloc(1, sizeof(*tap));
    bool has_header = true;

    if (tap == NULL) {
        crosh_error_set(err, -ENOMEM, "out of memory");
        return NULL;
    }
    for (unsigned int i = 0; i < count; i++) {
        const int size = HEADER_BYTES, little = 1;
        struct ifreq request = {.ifr_flags = 0};

        if (ioctl(fd[i], TUNGETIFF, &request) < 0) {
            crosh_error_errno(err, "descriptor %d is not attached to a tap interface", fd[i]);
            return NULL;
        }
        if ((request.ifr_flags & IFF_TAP) == 0 || (request.ifr_flags & IFF_NO_PI) == 0) {
            crosh_error_set(err, -EINVAL, "%s must be a tap interface, attached with IFF_NO_PI",
                            request.ifr_name);
            return NULL;
        }
        has_header = has_header && (request.ifr_flags & IFF_VNET_HDR) != 0 &&
                     ioctl(fd[i], TUNSETVNETHDRSZ, &size) == 0 &&
                     ioctl(fd[i], TUNSETVNETLE, &little) == 0;
        if (fcntl(fd[i], F_SETFL, fcntl(fd[i], F_GETFL) | O_NONBLOCK) < 0 ||
            fcntl(fd[i], F_SETFD, FD_CLOEXEC) < 0) {
            crosh_error_errno(err, "tap interface %s", request.ifr_name);
            return NULL;
        }
        tap->end.fd[i] = fd[i];
    }
    tap->end.ops = &tap_ops;
    tap->end.queue_count = tap->active = count;
    tap->end.is_tap = true;
    tap->has_header = has_header;
    if (has_header)
        tap->end.features = probe_features(&tap->end);
    return &move_ptr(tap)->end;
}

struct net_end *net_tap_from_fds(const int *fd, unsigned int count, struct crosh_error *err)
{
    return tap_new(fd, count, err);
}

static int attach(const char *name, int flags, struct crosh_error *err)
{
    cleanup_close int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
    struct ifreq request = {.ifr_flags = (short)(IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | flags)};

    if (fd < 0)
        return crosh_error_errno(err, "/dev/net/tun");
    memcpy(request.ifr_name, name, strlen(name));
    if (ioctl(fd, TUNSETIFF, &request) < 0) {
        int code = crosh_error_errno(err, "tap interface %s", name);

        if (code == -EBUSY)
            crosh_error_hint(err, "another program has it: each VM needs one of its own");
        else if (code == -EPERM)
            crosh_error_hint(err,
                             "make it for yourself: sudo ip tuntap add %s mode tap user "
                             "\"$USER\" vnet_hdr",
                             name);
        return code;
    }
    return move_fd(fd);
}

/* Facts that are asked of a socket. */
static int query_interface(const char *name, unsigned long what, struct ifreq *request)
{
    cleanup_close int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    *request = (struct ifreq){.ifr_flags = 0};
    memcpy(request->ifr_name, name, strlen(name));
    return fd < 0 || ioctl(fd, what, request) < 0 ? -errno : 0;
}

struct net_end *net_tap_open(const char *name, unsigned int queues, struct crosh_error *err)
{
    int fd[NET_MAX_QUEUES];
    int flags = queues > 1 ? IFF_MULTI_QUEUE : 0;
    unsigned int count;
    struct ifreq mtu;
    struct net_end *end = NULL;

    if (strlen(name) >= IFNAMSIZ) {
        crosh_error_set(err, -EINVAL, "tap interface %s: the name is too long", name);
        return NULL;
    }
    /* Attaching would make it, nameless to everybody and without an address. */
    if (query_interface(name, SIOCGIFMTU, &mtu) < 0) {
        crosh_error_errno(err, "tap interface %s", name);
        crosh_error_hint(err,
                         "make it first: sudo ip tuntap add %s mode tap user \"$USER\" "
                         "vnet_hdr",
                         name);
        return NULL;
    }
    fd[0] = attach(name, flags, err);
    /* It was made with one queue, or for several. */
    if (fd[0] == -EINVAL) {
        flags ^= IFF_MULTI_QUEUE;
        fd[0] = attach(name, flags, err);
    }
    if (fd[0] < 0)
        return NULL;
    if (flags == 0 || queues < 1)
        queues = 1;
    for (count = 1; count < queues && count < NET_MAX_QUEUES; count++) {
        fd[count] = attach(name, flags, err);
        if (fd[count] < 0)
            break; /* fewer do */
    }
    end = tap_new(fd, count, err);
    if (end == NULL) {
        while (count > 0)
            (void)close(fd[--count]);
        return NULL;
    }
    if (mtu.ifr_mtu > 0 && mtu.ifr_mtu <= UINT16_MAX)
        end->mtu = (uint16_t)mtu.ifr_mtu;
    return end;
}

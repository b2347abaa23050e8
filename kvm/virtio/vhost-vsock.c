/* SPDX-License-Identifier: MIT */
/* Gives the rings of a vsock device to the host's kernel, and takes them back. */

/*
 * Theory of operation
 *
 * The kernel's vhost-vsock serves the two queues of packets by a thread of its own, and
 * makes the guest a peer of the host's AF_VSOCK sockets. We set it up: it is told where
 * guest memory lies (the map of guest-memory.h, by our own addresses, which it checks each
 * access against), where the rings are (found by virtqueue_start(), as for every device),
 * and the eventfds of kicks and interrupts, so that these pass between KVM and vhost without
 * us. The event queue stays ours: the kernel knows nothing of it.
 *
 * A machine that stands still, is saved or reset gets its rings back: SET_RUNNING 0 returns
 * when the kernel's thread has let go of them, and GET_VRING_BASE says how far it was.
 *
 * Interrupts that the driver tells apart by a status register (MMIO) go through an eventfd
 * of ours, which sets the register's bit first.
 */
#include "kvm/virtio/vhost-vsock.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <linux/vhost.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_ring.h>
#include <linux/virtio_vsock.h>

#include "kvm/virtio/vsock-event.h"
#include "lib/base/cleanup.h"

#define DEVICE     "/dev/vhost-vsock"
#define QUEUE_SIZE 128

enum { QUEUE_RX, QUEUE_TX, QUEUE_EVENT, QUEUE_COUNT, KERNEL_QUEUES = QUEUE_EVENT };

struct vhost_vsock {
    struct virtio_device dev;
    struct vhost_vsock_config config;
    bool is_running;      /* the kernel has the rings */
    bool reset_event_due; /* TRANSPORT_RESET waits for a buffer */
    struct {
        int fd; /* -1: the kernel interrupts the driver itself */
        struct event_source *source;
    } relay[KERNEL_QUEUES];
};

static struct vhost_vsock *vsock_of(struct virtio_device *dev)
{
    return (struct vhost_vsock *)(void *)dev;
}

int vhost_vsock_open(uint32_t guest_cid, struct crosh_error *err)
{
    cleanup_close int fd = open(DEVICE, O_RDWR | O_CLOEXEC);
    const uint64_t cid = guest_cid;

    if (fd < 0) {
        crosh_error_errno(err, "--vsock=kernel: " DEVICE);
        if (err->code == -ENOENT)
            crosh_error_hint(err, "load the host's module: modprobe vhost_vsock");
        else if (err->code == -EACCES)
            crosh_error_hint(err, "its group, kvm on most systems, may use it");
        return err->code;
    }
    if (ioctl(fd, VHOST_SET_OWNER, NULL) < 0)
        return crosh_error_errno(err, DEVICE ": VHOST_SET_OWNER");
    if (ioctl(fd, VHOST_VSOCK_SET_GUEST_CID, &cid) < 0) {
        crosh_error_errno(err, "--vsock=kernel: context id %u", guest_cid);
        if (err->code == -EADDRINUSE)
            crosh_error_hint(err, "another VM of this host has it: choose one with --cid");
        return err->code;
    }
    return move_fd(fd);
}

/* ---- Rings ---- */

static int set_memory(const struct vhost_vsock *vsock, const struct guest_memory *memory)
{
    cleanup_free struct vhost_memory *table =
        calloc(1, sizeof(*table) + memory->count * sizeof(table->regions[0]));

    if (table == NULL)
        return -ENOMEM;
    table->nregions = memory->count;
    for (unsigned int i = 0; i < memory->count; i++)
        table->regions[i] = (struct vhost_memory_region){
            .guest_phys_addr = memory->region[i].gpa,
            .memory_size = memory->region[i].size,
            .userspace_addr = (uintptr_t)memory->region[i].host,
        };
    return ioctl(vsock->config.fd, VHOST_SET_MEM_TABLE, table) < 0 ? -errno : 0;
}

static void on_relay(void *opaque, uint32_t events)
{
    struct vhost_vsock *vsock = opaque;

    (void)events;
    for (unsigned int i = 0; i < KERNEL_QUEUES; i++) {
        eventfd_t count;

        if (vsock->relay[i].fd >= 0 && eventfd_read(vsock->relay[i].fd, &count) == 0)
            virtqueue_interrupt(&vsock->dev.queue[i]);
    }
}

/* Where the kernel is to send a queue's interrupts. */
static int call_fd_for(struct vhost_vsock *vsock, unsigned int index)
{
    const struct virtqueue *vq = &vsock->dev.queue[index];

    if (vq->isr == NULL)
        return vq->call_fd;
    if (vsock->relay[index].fd < 0) {
        vsock->relay[index].fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (vsock->relay[index].fd < 0)
            return -errno;
        vsock->relay[index].source =
            event_add(vsock->dev.loop, vsock->relay[index].fd, EPOLLIN, on_relay, vsock);
        if (vsock->relay[index].source == NULL)
            return -ENOMEM;
    }
    return vsock->relay[index].fd;
}

static int set_ring(struct vhost_vsock *vsock, unsigned int index)
{
    const struct virtqueue *vq = &vsock->dev.queue[index];
    struct vhost_vring_state size = {.index = index, .num = vq->size};
    struct vhost_vring_state base = {.index = index, .num = vq->last_avail};
    struct vhost_vring_addr addr = {.index = index,
                                    .desc_user_addr = (uintptr_t)vq->desc,
                                    .avail_user_addr = (uintptr_t)vq->avail,
                                    .used_user_addr = (uintptr_t)vq->used};
    struct vhost_vring_file kick = {.index = index, .fd = vq->kick_fd};
    struct vhost_vring_file call = {.index = index, .fd = call_fd_for(vsock, index)};
    int fd = vsock->config.fd;

    /* A driver that polls has no interrupt, which is -1; anything below is an error. */
    if (call.fd < -1)
        return call.fd;
    if (ioctl(fd, VHOST_SET_VRING_NUM, &size) < 0 || ioctl(fd, VHOST_SET_VRING_BASE, &base) < 0 ||
        ioctl(fd, VHOST_SET_VRING_ADDR, &addr) < 0 || ioctl(fd, VHOST_SET_VRING_KICK, &kick) < 0 ||
        ioctl(fd, VHOST_SET_VRING_CALL, &call) < 0)
        return -errno;
    return 0;
}

static int give_rings(struct vhost_vsock *vsock)
{
    const int on = 1;
    int code = 0;

    for (unsigned int i = 0; i < KERNEL_QUEUES && code == 0; i++)
        code = set_ring(vsock, i);
    if (code == 0 && ioctl(vsock->config.fd, VHOST_VSOCK_SET_RUNNING, &on) < 0)
        code = -errno;
    vsock->is_running = code == 0;
    return code;
}

/* When this returns, the kernel touches guest memory no more. */
static void take_rings(struct vhost_vsock *vsock)
{
    const int off = 0;

    if (!vsock->is_running)
        return;
    vsock->is_running = false;
    (void)ioctl(vsock->config.fd, VHOST_VSOCK_SET_RUNNING, &off);
    for (unsigned int i = 0; i < KERNEL_QUEUES; i++) {
        struct vhost_vring_state base = {.index = i};

        if (ioctl(vsock->config.fd, VHOST_GET_VRING_BASE, &base) == 0)
            vsock->dev.queue[i].last_avail = (uint16_t)base.num;
    }
}

/* ---- The device ---- */

static void vhost_vsock_config_read(struct virtio_device *dev, uint32_t offset, void *buf,
                                    uint32_t size)
{
    const struct virtio_vsock_config config = {.guest_cid =
                                                   htole64(vsock_of(dev)->config.guest_cid)};

    virtio_config_copy(&config, sizeof(config), offset, buf, size);
}

static int vhost_vsock_start(struct virtio_device *dev)
{
    struct vhost_vsock *vsock = vsock_of(dev);
    uint64_t features = dev->driver_features;
    int code;

    if (!dev->queue[QUEUE_RX].running || !dev->queue[QUEUE_TX].running)
        return -EINVAL;
    if (ioctl(vsock->config.fd, VHOST_SET_FEATURES, &features) < 0)
        return -errno;
    code = set_memory(vsock, dev->queue[QUEUE_RX].memory);
    if (code == 0)
        code = give_rings(vsock);
    if (code == 0)
        vsock->config.driver(vsock->config.opaque, true);
    return code;
}

static void vhost_vsock_stop(struct virtio_device *dev)
{
    struct vhost_vsock *vsock = vsock_of(dev);

    take_rings(vsock);
    for (unsigned int i = 0; i < KERNEL_QUEUES; i++) {
        event_remove(vsock->relay[i].source);
        vsock->relay[i].source = NULL;
        if (vsock->relay[i].fd >= 0)
            (void)close(vsock->relay[i].fd);
        vsock->relay[i].fd = -1;
    }
    vsock->reset_event_due = false;
    vsock->config.driver(vsock->config.opaque, false);
}

static void vhost_vsock_hold(struct virtio_device *dev)
{
    take_rings(vsock_of(dev));
}

static void send_reset_event(struct vhost_vsock *vsock)
{
    if (vsock->reset_event_due && vsock_event_reset(&vsock->dev.queue[QUEUE_EVENT]))
        vsock->reset_event_due = false;
}

/* The kernel's queues come here after a release only. */
static void vhost_vsock_kick(struct virtio_device *dev, unsigned int index)
{
    struct vhost_vsock *vsock = vsock_of(dev);
    int code;

    if (index == QUEUE_EVENT) {
        send_reset_event(vsock);
        return;
    }
    code = vsock->is_running ? 0 : give_rings(vsock);
    if (code < 0) {
        fprintf(stderr, "crosh-vm: " DEVICE " does not take the guest's queues back: %s\n",
                strerror(-code));
        atomic_store(&dev->needs_reset, true);
        virtio_device_config_changed(dev);
    }
}

static bool vhost_vsock_has_own_kicks(struct virtio_device *dev, unsigned int index)
{
    (void)dev;
    return index < KERNEL_QUEUES;
}

static void vhost_vsock_restored(struct virtio_device *dev)
{
    struct vhost_vsock *vsock = vsock_of(dev);

    vsock->reset_event_due = dev->started && dev->queue[QUEUE_EVENT].running;
    send_reset_event(vsock);
}

static const struct virtio_device_ops vhost_vsock_ops = {
    .device_id = VIRTIO_ID_VSOCK,
    .name = "vsock",
    .config_read = vhost_vsock_config_read,
    .start = vhost_vsock_start,
    .stop = vhost_vsock_stop,
    .kick = vhost_vsock_kick,
    .hold = vhost_vsock_hold,
    .has_own_kicks = vhost_vsock_has_own_kicks,
    .restored = vhost_vsock_restored,
};

struct virtio_device *vhost_vsock_new(struct event_loop *loop,
                                      const struct vhost_vsock_config *config,
                                      struct crosh_error *err)
{
    struct vhost_vsock *vsock = calloc(1, sizeof(*vsock));
    uint64_t features;

    if (vsock == NULL || ioctl(config->fd, VHOST_GET_FEATURES, &features) < 0) {
        crosh_error_errno(err, DEVICE);
        free(vsock);
        return NULL;
    }
    virtio_device_init(&vsock->dev, &vhost_vsock_ops, loop, QUEUE_COUNT);
    vsock->dev.features &= features;
    for (unsigned int i = 0; i < QUEUE_COUNT; i++)
        vsock->dev.queue[i].size_max = QUEUE_SIZE;
    vsock->config = *config;
    for (unsigned int i = 0; i < KERNEL_QUEUES; i++)
        vsock->relay[i].fd = -1;
    return &vsock->dev;
}

void vhost_vsock_free(struct virtio_device *dev)
{
    if (dev == NULL)
        return;
    virtio_device_stop(dev);
    free(dev);
}

/* SPDX-License-Identifier: MIT */
/* Implements devices that another process serves: rings given to it, and taken back. */

/*
 * Theory of operation
 *
 * The driver's kicks and the interrupts are eventfds, so they pass between KVM and
 * the backend without us: once the rings are started we have nothing to do but to
 * notice the backend's end. A ring is taken back, at the driver's reset or when the
 * machine is to stand still, by GET_VRING_BASE, whose answer means that the backend
 * touches guest memory no more.
 *
 * The backend knows guest memory by guest physical addresses: where it is mapped here
 * is not its business, so these stand for the "user addresses" of the protocol as well.
 *
 * A backend that is gone leaves a driver that waits for it. So we go on in its place
 * (virtqueue-adopt.c finds out what it owes) and answer everything with an error, until
 * the driver resets the device: then the backend is sought anew.
 */
#include "kvm/virtio/vhost-user-frontend.h"

#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kvm/virtio/virtqueue-adopt.h"

#define RING_FEATURES                                                                              \
    (UINT64_C(1) << VIRTIO_F_VERSION_1 | UINT64_C(1) << VIRTIO_RING_F_INDIRECT_DESC |              \
     UINT64_C(1) << VIRTIO_RING_F_EVENT_IDX)

/* Requests that one turn answers in a backend's place. */
#define ANSWERS_MAX 64

static struct vhost_user_frontend *frontend_of(struct virtio_device *dev)
{
    return (struct vhost_user_frontend *)(void *)dev;
}

/* ---- In a lost backend's place ---- */

static void answer_requests(struct vhost_user_frontend *frontend, unsigned int index)
{
    struct virtqueue *vq = &frontend->dev.queue[index];
    struct virtqueue_chain chain;

    for (unsigned int i = 0; i < ANSWERS_MAX && virtqueue_pop(vq, &chain) > 0; i++)
        virtqueue_push(vq, chain.head, frontend->ops->answer(&frontend->dev, index, &chain));
    virtqueue_notify(vq);
    virtqueue_await_kick(vq);
}

static void on_orphan_kick(void *opaque, uint32_t events)
{
    struct vhost_user_frontend *frontend = opaque;

    (void)events;
    for (unsigned int i = 0; i < frontend->dev.queue_count; i++)
        answer_requests(frontend, i);
}

/* Answers what the backend took and did not answer. False: it cannot be told what that is. */
static bool answer_owed(struct vhost_user_frontend *frontend, unsigned int index)
{
    struct virtqueue *vq = &frontend->dev.queue[index];
    uint16_t head[VIRTQUEUE_MAX_SIZE];
    struct virtqueue_chain chain;
    int count = virtqueue_adopt(vq, head);

    for (int i = 0; i < count; i++) {
        uint32_t written = 0;

        if (virtqueue_chain_at(vq, head[i], &chain) == 0)
            written = frontend->ops->answer(&frontend->dev, index, &chain);
        virtqueue_push(vq, head[i], written);
    }
    virtqueue_notify(vq);
    return count >= 0;
}

static void set_needs_reset(struct vhost_user_frontend *frontend)
{
    atomic_store(&frontend->dev.needs_reset, true);
    virtio_device_config_changed(&frontend->dev);
}

/* The backend is gone, or not to be talked to any more. */
static void become_orphan(struct vhost_user_frontend *frontend)
{
    struct virtio_device *dev = &frontend->dev;

    event_remove(frontend->source);
    frontend->source = NULL;
    vhost_user_link_close(frontend->link);
    frontend->is_orphan = true;
    fprintf(stderr, "crosh-vm: the process behind virtio-%s (%s) is gone\n", dev->ops->name,
            frontend->link->path);
    for (unsigned int i = 0; i < dev->queue_count; i++) {
        bool was_running = frontend->ring[i].is_running;

        frontend->ring[i].is_running = false;
        if (!dev->queue[i].running)
            continue;
        if (frontend->ops->answer == NULL || (was_running && !answer_owed(frontend, i))) {
            set_needs_reset(frontend);
            return;
        }
        frontend->ring[i].source = event_add(dev->loop, dev->queue[i].kick_fd, EPOLLIN | EPOLLET,
                                             on_orphan_kick, frontend);
        answer_requests(frontend, i);
    }
}

/* Nothing is expected from the backend but its end. */
static void on_link(void *opaque, uint32_t events)
{
    struct vhost_user_frontend *frontend = opaque;
    uint8_t byte;

    (void)events;
    if (recv(frontend->link->fd, &byte, sizeof(byte), MSG_DONTWAIT) < 0 &&
        (errno == EAGAIN || errno == EINTR))
        return;
    become_orphan(frontend);
}

/* ---- Rings ---- */

static int set_memory(struct vhost_user_frontend *frontend)
{
    const struct guest_memory *memory = frontend->memory;
    struct vhost_user_mem_table table = {.count = memory->count};
    int fd[VHOST_USER_MAX_REGIONS];

    if (!memory->is_shared || memory->count > VHOST_USER_MAX_REGIONS)
        return -EINVAL;
    for (unsigned int i = 0; i < memory->count; i++) {
        const struct guest_memory_region *region = &memory->region[i];

        table.region[i] = (struct vhost_user_region){
            .gpa = region->gpa,
            .size = region->size,
            .user_addr = region->gpa,
            .mmap_offset = (uint64_t)(region->host - memory->shared_base),
        };
        fd[i] = memory->shared_fd;
    }
    return vhost_user_link_set(
        frontend->link, VHOST_USER_SET_MEM_TABLE, &table,
        (uint32_t)offsetof(struct vhost_user_mem_table, region[memory->count]), fd, memory->count);
}

/* Sends a queue's descriptor: the message's number says for which one. */
static int set_ring_fd(struct vhost_user_link *link, uint32_t request, unsigned int index, int fd)
{
    uint64_t number = index | (fd < 0 ? VHOST_USER_VRING_NO_FD : 0);

    return vhost_user_link_set(link, request, &number, sizeof(number), &fd, fd < 0 ? 0 : 1);
}

static void on_backend_call(void *opaque, uint32_t events)
{
    struct vhost_user_frontend *frontend = opaque;

    (void)events;
    for (unsigned int i = 0; i < frontend->dev.queue_count; i++) {
        eventfd_t count;

        if (frontend->ring[i].relay_fd >= 0 &&
            eventfd_read(frontend->ring[i].relay_fd, &count) == 0)
            virtqueue_interrupt(&frontend->dev.queue[i]);
    }
}

/* Where the backend is to send its interrupts; negative errno. */
static int call_fd_for(struct vhost_user_frontend *frontend, unsigned int index, int *fd)
{
    const struct virtqueue *vq = &frontend->dev.queue[index];

    *fd = vq->call_fd;
    if (vq->isr == NULL)
        return 0;
    if (frontend->ring[index].relay_fd < 0) {
        frontend->ring[index].relay_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (frontend->ring[index].relay_fd < 0)
            return -errno;
        frontend->ring[index].relay = event_add(frontend->dev.loop, frontend->ring[index].relay_fd,
                                                EPOLLIN, on_backend_call, frontend);
        if (frontend->ring[index].relay == NULL)
            return -errno;
    }
    *fd = frontend->ring[index].relay_fd;
    return 0;
}

static int start_ring(struct vhost_user_frontend *frontend, unsigned int index)
{
    struct vhost_user_link *link = frontend->link;
    const struct virtqueue *vq = &frontend->dev.queue[index];
    struct vhost_user_vring_state state = {.index = index, .num = vq->size};
    struct vhost_user_vring_addr addr = {.index = index,
                                         .desc_user = vq->desc_gpa,
                                         .used_user = vq->device_gpa,
                                         .avail_user = vq->driver_gpa};
    bool is_enabled_apart = (link->features >> VHOST_USER_F_PROTOCOL_FEATURES & 1) != 0;
    int call_fd, code = call_fd_for(frontend, index, &call_fd);

    if (code < 0)
        return code;
    code = vhost_user_link_set(link, VHOST_USER_SET_VRING_NUM, &state, sizeof(state), NULL, 0);
    state.num = frontend->ring[index].base;
    if (code == 0)
        code = vhost_user_link_set(link, VHOST_USER_SET_VRING_BASE, &state, sizeof(state), NULL, 0);
    if (code == 0)
        code = vhost_user_link_set(link, VHOST_USER_SET_VRING_ADDR, &addr, sizeof(addr), NULL, 0);
    if (code == 0)
        code = set_ring_fd(link, VHOST_USER_SET_VRING_CALL, index, call_fd);
    if (code == 0)
        code = set_ring_fd(link, VHOST_USER_SET_VRING_KICK, index, vq->kick_fd);
    state.num = 1;
    if (code == 0 && is_enabled_apart)
        code =
            vhost_user_link_set(link, VHOST_USER_SET_VRING_ENABLE, &state, sizeof(state), NULL, 0);
    frontend->ring[index].is_running = code == 0;
    return code;
}

/* Takes the rings back. Negative: the backend is gone, and they are where it left them. */
static int stop_rings(struct vhost_user_frontend *frontend)
{
    int code = 0;

    for (unsigned int i = 0; i < frontend->dev.queue_count && code == 0; i++) {
        struct vhost_user_vring_state state = {.index = i};

        if (!frontend->ring[i].is_running)
            continue;
        code = vhost_user_link_get(frontend->link, VHOST_USER_GET_VRING_BASE, &state, sizeof(state),
                                   &state, sizeof(state));
        if (code == 0) {
            frontend->ring[i].is_running = false;
            frontend->ring[i].base = (uint16_t)state.num;
        }
    }
    return code;
}

static int start_rings(struct vhost_user_frontend *frontend)
{
    struct virtio_device *dev = &frontend->dev;
    uint64_t features = dev->driver_features;
    int code;

    features |= frontend->link->features & UINT64_C(1) << VHOST_USER_F_PROTOCOL_FEATURES;
    code = vhost_user_link_set(frontend->link, VHOST_USER_SET_FEATURES, &features, sizeof(features),
                               NULL, 0);
    if (code == 0)
        code = set_memory(frontend);
    for (unsigned int i = 0; i < dev->queue_count && code == 0; i++) {
        const struct virtqueue *vq = &dev->queue[i];

        if (!vq->running)
            continue;
        /* 0, unless the driver began with another machine, whose state this one has. */
        frontend->ring[i].base = vq->last_avail;
        if (vq->last_avail == 0 && vq->used_idx == 0)
            virtqueue_prepare_adopt(vq);
        code = start_ring(frontend, i);
    }
    return code;
}

/* ---- The device ---- */

void vhost_user_frontend_init(struct vhost_user_frontend *frontend,
                              const struct virtio_device_ops *device_ops,
                              const struct vhost_user_frontend_ops *ops, struct event_loop *loop,
                              struct vhost_user_link *link, unsigned int queue_count,
                              uint64_t wanted)
{
    virtio_device_init(&frontend->dev, device_ops, loop, queue_count);
    frontend->ops = ops;
    frontend->link = link;
    frontend->dev.features = link->features & (RING_FEATURES | wanted);
    for (unsigned int i = 0; i < VIRTIO_DEVICE_MAX_QUEUES; i++)
        frontend->ring[i].relay_fd = -1;
    for (unsigned int i = 0; i < queue_count; i++)
        frontend->dev.queue[i].size_max = VIRTQUEUE_MAX_SIZE;
}

int vhost_user_frontend_start(struct virtio_device *dev)
{
    struct vhost_user_frontend *frontend = frontend_of(dev);
    struct vhost_user_link *link = frontend->link;
    struct crosh_error err = {0};

    frontend->is_orphan = false;
    for (unsigned int i = 0; i < dev->queue_count; i++)
        if (dev->queue[i].running)
            frontend->memory = dev->queue[i].memory;
    if (frontend->memory == NULL)
        return -EINVAL;
    /* The backend died some time ago: perhaps there is a new one. */
    if (link->fd < 0)
        (void)vhost_user_link_open(link, &err);
    if (link->fd >= 0 && (dev->driver_features & ~link->features) == 0 &&
        start_rings(frontend) == 0) {
        frontend->source = event_add(dev->loop, link->fd, EPOLLIN, on_link, frontend);
        if (frontend->source != NULL)
            return 0;
    }
    become_orphan(frontend);
    return frontend->ops->answer != NULL ? 0 : -ENOTCONN;
}

void vhost_user_frontend_stop(struct virtio_device *dev)
{
    struct vhost_user_frontend *frontend = frontend_of(dev);

    event_remove(frontend->source);
    frontend->source = NULL;
    if (stop_rings(frontend) < 0)
        fprintf(stderr, "crosh-vm: the process behind virtio-%s (%s) does not let go\n",
                dev->ops->name, frontend->link->path);
    for (unsigned int i = 0; i < dev->queue_count; i++) {
        event_remove(frontend->ring[i].source);
        frontend->ring[i].source = NULL;
        frontend->ring[i].is_running = false;
        event_remove(frontend->ring[i].relay);
        frontend->ring[i].relay = NULL;
        if (frontend->ring[i].relay_fd >= 0)
            (void)close(frontend->ring[i].relay_fd);
        frontend->ring[i].relay_fd = -1;
    }
    frontend->memory = NULL;
}

void vhost_user_frontend_hold(struct virtio_device *dev)
{
    struct vhost_user_frontend *frontend = frontend_of(dev);

    if (!frontend->is_orphan && stop_rings(frontend) < 0)
        become_orphan(frontend);
}

void vhost_user_frontend_save(struct virtio_device *dev, Snapshot__Virtio *state)
{
    struct vhost_user_frontend *frontend = frontend_of(dev);

    for (unsigned int i = 0; i < dev->queue_count && !frontend->is_orphan; i++)
        if (dev->queue[i].running)
            state->queues[i]->last_avail = frontend->ring[i].base;
}

/* After a release only. */
void vhost_user_frontend_kick(struct virtio_device *dev, unsigned int index)
{
    struct vhost_user_frontend *frontend = frontend_of(dev);

    if (frontend->is_orphan)
        answer_requests(frontend, index);
    else if (dev->queue[index].running && !frontend->ring[index].is_running &&
             start_ring(frontend, index) < 0)
        become_orphan(frontend);
}

bool vhost_user_frontend_has_own_kicks(struct virtio_device *dev, unsigned int index)
{
    (void)dev;
    (void)index;
    return true;
}

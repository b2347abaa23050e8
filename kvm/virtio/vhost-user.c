/* SPDX-License-Identifier: MIT */
/* The vhost-user transport: what each message of the frontend does to the device. */

/*
 * Theory of operation
 *
 * The frontend (QEMU) describes guest memory and rings by messages; nothing of a
 * ring is touched before the device starts. There is no DRIVER_OK here: the device
 * runs while every ring that has addresses also has a kick descriptor and is
 * enabled, which with QEMU means from the last VRING_ENABLE on. So a frontend that
 * keeps a queue to itself (QEMU does with vsock's event queue) never mentions it,
 * and the device finds it not running.
 *
 * Ring addresses are the frontend's own virtual addresses, descriptors hold guest
 * physical ones; both are looked up in the one memory map.
 *
 * QEMU sends a new memory table whenever the guest moves something about, also
 * while the device runs. All runs on one thread and devices hold no chains between
 * callbacks, so the map is simply exchanged under the running rings.
 *
 * A frontend that breaks the protocol is cut off: the device stops, memory is
 * unmapped, and on_gone is told why. It could still shrink the memory file and
 * have us killed by SIGBUS, but it is our own child and serves the same guest.
 */
#include "kvm/virtio/vhost-user.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kvm/virtio/vhost-user-message.h"
#include "lib/base/cleanup.h"

#define PROTOCOL_FEATURES                                                                          \
    (1ULL << VHOST_USER_PROTOCOL_F_MQ | 1ULL << VHOST_USER_PROTOCOL_F_REPLY_ACK |                  \
     1ULL << VHOST_USER_PROTOCOL_F_CONFIG)

struct vhost_user_ring {
    uint16_t size;
    uint16_t base; /* last_avail while the ring does not run */
    bool has_addresses;
    bool enabled;
    uint64_t desc_user, avail_user, used_user;
    int kick_fd, call_fd;
};

struct mapping {
    void *base;
    size_t size;
};

struct vhost_user {
    struct virtio_device *dev;
    int fd;
    struct event_source *source;
    void (*on_gone)(void *opaque, const char *detail);
    void *opaque;
    struct vhost_user_reader reader;
    uint64_t features;          /* accepted by the frontend, with PROTOCOL_FEATURES */
    uint64_t protocol_features; /* the same */
    struct vhost_user_ring ring[VIRTIO_DEVICE_MAX_QUEUES];
    struct guest_memory memory;
    struct mapping mapping[VHOST_USER_MAX_REGIONS];
};

static void replace_fd(int *fd, int with)
{
    if (*fd >= 0)
        (void)close(*fd);
    *fd = with;
}

/* Stops the device; its rings can go on later from where they are. */
static void stop_device(struct vhost_user *vu)
{
    struct virtio_device *dev = vu->dev;

    if (!dev->started)
        return;
    for (unsigned int i = 0; i < dev->queue_count; i++)
        if (dev->queue[i].running)
            vu->ring[i].base = dev->queue[i].last_avail;
    virtio_device_stop(dev);
    for (unsigned int i = 0; i < dev->queue_count; i++)
        dev->queue[i].kick_fd = dev->queue[i].call_fd = -1;
}

static bool is_ring_ready(const struct vhost_user *vu, unsigned int index)
{
    const struct vhost_user_ring *ring = &vu->ring[index];
    bool needs_enabling = (vu->features >> VHOST_USER_F_PROTOCOL_FEATURES & 1) != 0;

    return ring->has_addresses && ring->kick_fd >= 0 && (ring->enabled || !needs_enabling);
}

/* Gives a ring's addresses to its queue. */
static int place_queue(struct vhost_user *vu, unsigned int index)
{
    const struct vhost_user_ring *ring = &vu->ring[index];
    struct virtqueue *vq = &vu->dev->queue[index];
    const struct guest_memory *memory = &vu->memory;

    /* How far each part reaches is for virtqueue_start() to check. */
    if (!guest_memory_from_user(memory, ring->desc_user, 1, &vq->desc_gpa) ||
        !guest_memory_from_user(memory, ring->avail_user, 1, &vq->driver_gpa) ||
        !guest_memory_from_user(memory, ring->used_user, 1, &vq->device_gpa))
        return -EINVAL;
    return 0;
}

static int start_device(struct vhost_user *vu)
{
    struct virtio_device *dev = vu->dev;

    dev->driver_features = vu->features & dev->features;
    for (unsigned int i = 0; i < dev->queue_count; i++) {
        const struct vhost_user_ring *ring = &vu->ring[i];
        struct virtqueue *vq = &dev->queue[i];

        vq->size = 0;
        if (!is_ring_ready(vu, i))
            continue;
        vq->size = ring->size;
        vq->last_avail = ring->base;
        vq->kick_fd = ring->kick_fd;
        vq->call_fd = ring->call_fd;
        if (place_queue(vu, i) < 0)
            return -EINVAL;
    }
    return virtio_device_start(dev, &vu->memory);
}

/* Starts, restarts or stops the device as the rings' states demand. */
static int settle(struct vhost_user *vu)
{
    struct virtio_device *dev = vu->dev;
    bool any = false, changed = false;

    for (unsigned int i = 0; i < dev->queue_count; i++) {
        bool ready = is_ring_ready(vu, i);

        if (vu->ring[i].has_addresses && !ready) {
            stop_device(vu);
            return 0;
        }
        any = any || ready;
        changed = changed || ready != dev->queue[i].running ||
                  (ready && vu->ring[i].kick_fd != dev->queue[i].kick_fd);
    }
    if (!changed)
        return 0;
    stop_device(vu);
    return any ? start_device(vu) : 0;
}

static void unmap_all(struct mapping *mapping)
{
    for (unsigned int i = 0; i < VHOST_USER_MAX_REGIONS; i++)
        if (mapping[i].base != NULL)
            (void)munmap(mapping[i].base, mapping[i].size);
}

/* Maps one region's file from its start, whatever the alignment of the offset. */
static int map_region(struct guest_memory *memory, const struct vhost_user_region *region, int fd,
                      struct mapping *mapping)
{
    uint64_t end = region->mmap_offset + region->size;
    struct stat st;
    void *base;

    if (end < region->size || end > SIZE_MAX || fstat(fd, &st) < 0 || st.st_size < 0 ||
        end > (uint64_t)st.st_size)
        return -EINVAL;
    base = mmap(NULL, end, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
    if (base == MAP_FAILED)
        return -errno;
    *mapping = (struct mapping){.base = base, .size = end};
    return guest_memory_add(memory, region->gpa, region->size,
                            (uint8_t *)base + region->mmap_offset, region->user_addr);
}

static int set_mem_table(struct vhost_user *vu, const union vhost_user_payload *payload)
{
    const struct vhost_user_mem_table *table = &payload->table;
    struct mapping mapping[VHOST_USER_MAX_REGIONS] = {{NULL, 0}};
    struct guest_memory memory = {.count = 0};
    int ret = 0;

    if (table->count > VHOST_USER_MAX_REGIONS || table->count != vu->reader.fd_count ||
        vu->reader.header.size < offsetof(struct vhost_user_mem_table, region[table->count]))
        return -EPROTO;
    for (unsigned int i = 0; i < table->count && ret == 0; i++) {
        cleanup_close int fd = vhost_user_take_fd(&vu->reader, i);

        ret = map_region(&memory, &table->region[i], fd, &mapping[i]);
    }
    if (ret < 0) {
        unmap_all(mapping);
        return ret;
    }
    unmap_all(vu->mapping);
    memcpy(vu->mapping, mapping, sizeof(mapping));
    vu->memory = memory;
    for (unsigned int i = 0; i < vu->dev->queue_count && ret == 0; i++) {
        if (!vu->dev->queue[i].running)
            continue;
        ret = place_queue(vu, i);
        if (ret == 0)
            ret = virtqueue_remap(&vu->dev->queue[i], &vu->memory);
    }
    return ret;
}

static int get_features(struct vhost_user *vu, union vhost_user_payload *payload)
{
    payload->u64 = vu->dev->features | 1ULL << VHOST_USER_F_PROTOCOL_FEATURES;
    return sizeof(payload->u64);
}

static int set_features(struct vhost_user *vu, const union vhost_user_payload *payload)
{
    if ((payload->u64 & ~(vu->dev->features | 1ULL << VHOST_USER_F_PROTOCOL_FEATURES)) != 0)
        return -EPROTO;
    vu->features = payload->u64;
    return 0;
}

static int get_protocol_features(struct vhost_user *vu, union vhost_user_payload *payload)
{
    (void)vu;
    payload->u64 = PROTOCOL_FEATURES;
    return sizeof(payload->u64);
}

static int set_protocol_features(struct vhost_user *vu, const union vhost_user_payload *payload)
{
    if ((payload->u64 & ~PROTOCOL_FEATURES) != 0)
        return -EPROTO;
    vu->protocol_features = payload->u64;
    return 0;
}

static int set_owner(struct vhost_user *vu, const union vhost_user_payload *payload)
{
    (void)vu;
    (void)payload;
    return 0;
}

static int reset_owner(struct vhost_user *vu, const union vhost_user_payload *payload)
{
    (void)payload;
    for (unsigned int i = 0; i < vu->dev->queue_count; i++)
        vu->ring[i].enabled = vu->ring[i].has_addresses = false;
    return settle(vu);
}

static int get_queue_num(struct vhost_user *vu, union vhost_user_payload *payload)
{
    payload->u64 = vu->dev->queue_count;
    return sizeof(payload->u64);
}

/* The ring that a message is about; NULL: there is no such ring. */
static struct vhost_user_ring *ring_at(struct vhost_user *vu, uint32_t index)
{
    return index < vu->dev->queue_count ? &vu->ring[index] : NULL;
}

/* The same, for messages that a running ring cannot take: its set-up is frozen. */
static struct vhost_user_ring *stopped_ring_at(struct vhost_user *vu, uint32_t index)
{
    struct vhost_user_ring *ring = ring_at(vu, index);

    return ring != NULL && !vu->dev->queue[index].running ? ring : NULL;
}

static int set_vring_num(struct vhost_user *vu, const union vhost_user_payload *payload)
{
    struct vhost_user_ring *ring = stopped_ring_at(vu, payload->state.index);

    if (ring == NULL || payload->state.num > VIRTQUEUE_MAX_SIZE)
        return -EPROTO;
    ring->size = (uint16_t)payload->state.num;
    return 0;
}

static int set_vring_base(struct vhost_user *vu, const union vhost_user_payload *payload)
{
    struct vhost_user_ring *ring = stopped_ring_at(vu, payload->state.index);

    if (ring == NULL || payload->state.num > UINT16_MAX)
        return -EPROTO;
    ring->base = (uint16_t)payload->state.num;
    return 0;
}

static int set_vring_addr(struct vhost_user *vu, const union vhost_user_payload *payload)
{
    const struct vhost_user_vring_addr *addr = &payload->addr;
    struct vhost_user_ring *ring = stopped_ring_at(vu, addr->index);

    if (ring == NULL)
        return -EPROTO;
    ring->desc_user = addr->desc_user;
    ring->avail_user = addr->avail_user;
    ring->used_user = addr->used_user;
    ring->has_addresses = true;
    return settle(vu);
}

static int get_vring_base(struct vhost_user *vu, union vhost_user_payload *payload)
{
    struct vhost_user_ring *ring = ring_at(vu, payload->state.index);

    if (ring == NULL)
        return -EPROTO;
    stop_device(vu);
    /* The ring is stopped; the frontend sets it up anew before it is used again. */
    ring->has_addresses = false;
    replace_fd(&ring->kick_fd, -1);
    payload->state.num = ring->base;
    return sizeof(payload->state);
}

static int set_vring_enable(struct vhost_user *vu, const union vhost_user_payload *payload)
{
    struct vhost_user_ring *ring = ring_at(vu, payload->state.index);

    if (ring == NULL || payload->state.num > 1)
        return -EPROTO;
    ring->enabled = payload->state.num != 0;
    return settle(vu);
}

/* The descriptor of a KICK, CALL or ERR message: -1 when it says that there is none. */
static int take_ring_fd(struct vhost_user *vu, const union vhost_user_payload *payload,
                        unsigned int *index, int *fd)
{
    bool none = (payload->u64 & VHOST_USER_VRING_NO_FD) != 0;

    *index = payload->u64 & VHOST_USER_VRING_INDEX_MASK;
    if (ring_at(vu, *index) == NULL || vu->reader.fd_count != (none ? 0u : 1u))
        return -EPROTO;
    *fd = vhost_user_take_fd(&vu->reader, 0);
    if (*fd >= 0 && fcntl(*fd, F_SETFL, fcntl(*fd, F_GETFL) | O_NONBLOCK) < 0) {
        replace_fd(fd, -1);
        return -EPROTO;
    }
    return 0;
}

static int set_vring_kick(struct vhost_user *vu, const union vhost_user_payload *payload)
{
    unsigned int index;
    int fd;

    /* A frontend that does not kick wants its rings polled: not here. */
    if (take_ring_fd(vu, payload, &index, &fd) < 0 || fd < 0)
        return -EPROTO;
    if (vu->dev->queue[index].running)
        stop_device(vu); /* it watches the old one */
    replace_fd(&vu->ring[index].kick_fd, fd);
    return settle(vu);
}

static int set_vring_call(struct vhost_user *vu, const union vhost_user_payload *payload)
{
    unsigned int index;
    int fd;

    if (take_ring_fd(vu, payload, &index, &fd) < 0)
        return -EPROTO;
    replace_fd(&vu->ring[index].call_fd, fd);
    if (vu->dev->queue[index].running)
        vu->dev->queue[index].call_fd = fd;
    return 0;
}

static int set_vring_err(struct vhost_user *vu, const union vhost_user_payload *payload)
{
    unsigned int index;
    int fd;

    if (take_ring_fd(vu, payload, &index, &fd) < 0)
        return -EPROTO;
    replace_fd(&fd, -1); /* errors are told by closing the connection */
    return 0;
}

static int get_config(struct vhost_user *vu, union vhost_user_payload *payload)
{
    struct vhost_user_config *config = &payload->config;

    if (config->size > VHOST_USER_CONFIG_MAX)
        return -EPROTO;
    vu->dev->ops->config_read(vu->dev, config->offset, config->data, config->size);
    return (int)(offsetof(struct vhost_user_config, data) + config->size);
}

static int set_config(struct vhost_user *vu, const union vhost_user_payload *payload)
{
    const struct vhost_user_config *config = &payload->config;

    if (config->size > VHOST_USER_CONFIG_MAX ||
        vu->reader.header.size < offsetof(struct vhost_user_config, data) + config->size)
        return -EPROTO;
    if (vu->dev->ops->config_write == NULL)
        return -EOPNOTSUPP;
    vu->dev->ops->config_write(vu->dev, config->offset, config->data, config->size);
    return 0;
}

/* What we do with a request: either set, or get, which fills the reply and returns its size. */
struct request_entry {
    const char *name;
    uint32_t size_min; /* of the payload */
    int (*set)(struct vhost_user *vu, const union vhost_user_payload *payload);
    int (*get)(struct vhost_user *vu, union vhost_user_payload *payload);
};

#define CONFIG_HEADER_BYTES offsetof(struct vhost_user_config, data)

static const struct request_entry requests[VHOST_USER_REQUEST_COUNT] = {
    [VHOST_USER_GET_FEATURES] = {"GET_FEATURES", 0, NULL, get_features},
    [VHOST_USER_SET_FEATURES] = {"SET_FEATURES", 8, set_features, NULL},
    [VHOST_USER_SET_OWNER] = {"SET_OWNER", 0, set_owner, NULL},
    [VHOST_USER_RESET_OWNER] = {"RESET_OWNER", 0, reset_owner, NULL},
    [VHOST_USER_SET_MEM_TABLE] = {"SET_MEM_TABLE", 8, set_mem_table, NULL},
    [VHOST_USER_SET_VRING_NUM] = {"SET_VRING_NUM", 8, set_vring_num, NULL},
    [VHOST_USER_SET_VRING_ADDR] = {"SET_VRING_ADDR", 40, set_vring_addr, NULL},
    [VHOST_USER_SET_VRING_BASE] = {"SET_VRING_BASE", 8, set_vring_base, NULL},
    [VHOST_USER_GET_VRING_BASE] = {"GET_VRING_BASE", 8, NULL, get_vring_base},
    [VHOST_USER_SET_VRING_KICK] = {"SET_VRING_KICK", 8, set_vring_kick, NULL},
    [VHOST_USER_SET_VRING_CALL] = {"SET_VRING_CALL", 8, set_vring_call, NULL},
    [VHOST_USER_SET_VRING_ERR] = {"SET_VRING_ERR", 8, set_vring_err, NULL},
    [VHOST_USER_GET_PROTOCOL_FEATURES] = {"GET_PROTOCOL_FEATURES", 0, NULL, get_protocol_features},
    [VHOST_USER_SET_PROTOCOL_FEATURES] = {"SET_PROTOCOL_FEATURES", 8, set_protocol_features, NULL},
    [VHOST_USER_GET_QUEUE_NUM] = {"GET_QUEUE_NUM", 0, NULL, get_queue_num},
    [VHOST_USER_SET_VRING_ENABLE] = {"SET_VRING_ENABLE", 8, set_vring_enable, NULL},
    [VHOST_USER_GET_CONFIG] = {"GET_CONFIG", CONFIG_HEADER_BYTES, NULL, get_config},
    [VHOST_USER_SET_CONFIG] = {"SET_CONFIG", CONFIG_HEADER_BYTES, set_config, NULL},
};

/* Ends the connection and everything that hung on it. */
static void disconnect(struct vhost_user *vu)
{
    stop_device(vu);
    event_remove(vu->source);
    vu->source = NULL;
    replace_fd(&vu->fd, -1);
    vhost_user_reader_clear(&vu->reader);
    for (unsigned int i = 0; i < VIRTIO_DEVICE_MAX_QUEUES; i++) {
        replace_fd(&vu->ring[i].kick_fd, -1);
        replace_fd(&vu->ring[i].call_fd, -1);
    }
    unmap_all(vu->mapping);
    memset(vu->mapping, 0, sizeof(vu->mapping));
    vu->memory.count = 0;
}

/* Acts on the message in the reader. Negative: the connection cannot go on. */
static int handle(struct vhost_user *vu)
{
    const struct vhost_user_header *header = &vu->reader.header;
    union vhost_user_payload *payload = &vu->reader.payload;
    const struct request_entry *entry;
    uint64_t failed;
    int ret;

    if (header->request >= VHOST_USER_REQUEST_COUNT || requests[header->request].name == NULL)
        return -EPROTO;
    entry = &requests[header->request];
    if (header->size < entry->size_min)
        return -EPROTO;
    if (entry->get != NULL) {
        ret = entry->get(vu, payload);
        return ret < 0 ? ret : vhost_user_reply(vu->fd, header->request, payload, (uint32_t)ret);
    }
    ret = entry->set(vu, payload);
    if ((header->flags & VHOST_USER_NEED_REPLY) == 0 ||
        (vu->protocol_features >> VHOST_USER_PROTOCOL_F_REPLY_ACK & 1) == 0)
        return ret;
    failed = ret < 0;
    if (vhost_user_reply(vu->fd, header->request, &failed, sizeof(failed)) < 0)
        return -EPROTO;
    return ret;
}

static const char *request_name(uint32_t request)
{
    const char *name = request < VHOST_USER_REQUEST_COUNT ? requests[request].name : NULL;

    return name != NULL ? name : "unknown request";
}

static void on_socket(void *opaque, uint32_t events)
{
    struct vhost_user *vu = opaque;
    char detail[128];
    bool hung_up = false;
    int ret;

    (void)events;
    ret = vhost_user_read(&vu->reader, vu->fd);
    if (ret == 0)
        return;
    if (ret > 0) {
        ret = handle(vu);
        if (ret >= 0) {
            vhost_user_reader_clear(&vu->reader);
            return;
        }
        (void)snprintf(detail, sizeof(detail), "vhost-user %s (%u): %s",
                       request_name(vu->reader.header.request), vu->reader.header.request,
                       strerror(-ret));
    } else if (ret == -ECONNRESET) {
        hung_up = true;
    } else {
        (void)snprintf(detail, sizeof(detail), "vhost-user message: %s", strerror(-ret));
    }
    disconnect(vu);
    vu->on_gone(vu->opaque, hung_up ? NULL : detail); /* may free vu */
}

struct vhost_user *vhost_user_new(struct event_loop *loop, struct virtio_device *dev, int fd,
                                  void (*on_gone)(void *opaque, const char *detail), void *opaque,
                                  struct crosh_error *err)
{
    struct vhost_user *vu = calloc(1, sizeof(*vu));

    if (vu == NULL) {
        crosh_error_errno(err, "vhost-user");
        (void)close(fd);
        return NULL;
    }
    vu->dev = dev;
    vu->fd = fd;
    vu->on_gone = on_gone;
    vu->opaque = opaque;
    vhost_user_reader_init(&vu->reader);
    for (unsigned int i = 0; i < VIRTIO_DEVICE_MAX_QUEUES; i++)
        vu->ring[i].kick_fd = vu->ring[i].call_fd = -1;
    vu->source = event_add(loop, fd, EPOLLIN, on_socket, vu);
    if (vu->source == NULL) {
        crosh_error_errno(err, "vhost-user");
        vhost_user_free(vu);
        return NULL;
    }
    return vu;
}

void vhost_user_free(struct vhost_user *vu)
{
    if (vu == NULL)
        return;
    disconnect(vu);
    free(vu);
}

/* SPDX-License-Identifier: MIT */
/* Implements virtio-net but for its data path: features, configuration, control queue, threads. */

/*
 * Each pair of queues has a thread and an event loop of its own (net-pair.c), so that
 * traffic neither holds up the other devices nor is held up by them, and so that
 * several pairs are worth having. The threads exist from the driver's start to its
 * reset only: to stop a pair is to end its thread and to wait for that, which a
 * bounded turn makes short. So nothing of a pair needs a lock.
 */
#include "kvm/thread.h"
#include "kvm/virtio/net.h"

#include <endian.h>
#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "kvm/sandbox/sandbox.h"
#include "kvm/snapshot/format.h"
#include "kvm/virtio/net-internal.h"

enum { CONTROL_QUEUE_SIZE = 64, CONTROL_TURN = 16 };

static struct virtio_net *net_of(struct virtio_device *dev)
{
    return (struct virtio_net *)(void *)dev;
}

/* ---- Threads ---- */

static void *pair_thread(void *opaque)
{
    struct net_pair *pair = opaque;
    struct crosh_error err;

    (void)pthread_setname_np(pthread_self(), "net");
    if (sandbox_enter_thread(SANDBOX_THREAD_NET) == 0)
        (void)event_loop_run(pair->loop, &err);
    return NULL;
}

static void stop_pair(struct net_pair *pair)
{
    if (pair->has_thread) {
        event_loop_quit(pair->loop);
        (void)pthread_join(pair->thread, NULL);
        pair->has_thread = false;
    }
    net_pair_stop(pair);
    event_loop_free(pair->loop);
    pair->loop = NULL;
}

static int start_pair(struct net_pair *pair)
{
    struct crosh_error err = {0};
    int code;

    pair->loop = event_loop_new(&err);
    if (pair->loop == NULL)
        return err.code;
    code = net_pair_start(pair);
    if (code < 0)
        return code;
    code = thread_start(&pair->thread, pair_thread, pair);
    pair->has_thread = code == 0;
    return code;
}

static void stop_pairs(struct virtio_net *net)
{
    for (unsigned int i = 0; i < net->pair_count; i++)
        stop_pair(&net->pair[i]);
}

/* Starts those in use. The others have no frames to carry. */
static int start_pairs(struct virtio_net *net)
{
    int code = 0;

    if (net->end->ops->set_queues != NULL)
        code = net->end->ops->set_queues(net->end, net->active);
    for (unsigned int i = 0; i < net->active && code == 0; i++) {
        struct net_pair *pair = &net->pair[i];

        if (!pair->rx->running || !pair->tx->running)
            code = -EINVAL;
        else
            code = start_pair(pair);
    }
    return code;
}

/* ---- The control queue (5.1.6.5) ---- */

static bool has_feature(const struct virtio_net *net, unsigned int bit)
{
    return virtio_device_has_feature(&net->dev, bit);
}

static unsigned int control_index(const struct virtio_net *net)
{
    return has_feature(net, VIRTIO_NET_F_MQ) ? 2 * net->pair_count : 2;
}

static bool set_mac(struct virtio_net *net, const struct virtqueue_chain *chain)
{
    uint8_t mac[NIC_ETHER_BYTES];
    uint64_t packed = 0;

    if (!has_feature(net, VIRTIO_NET_F_CTRL_MAC_ADDR) ||
        virtqueue_chain_read(chain, sizeof(struct virtio_net_ctrl_hdr), mac, sizeof(mac)) !=
            sizeof(mac))
        return false;
    for (unsigned int i = 0; i < sizeof(mac); i++)
        packed |= (uint64_t)mac[i] << (8 * i);
    atomic_store(&net->mac, packed);
    return true;
}

static bool set_pairs(struct virtio_net *net, const struct virtqueue_chain *chain)
{
    struct virtio_net_ctrl_mq request;
    unsigned int count;

    if (!has_feature(net, VIRTIO_NET_F_MQ) ||
        virtqueue_chain_read(chain, sizeof(struct virtio_net_ctrl_hdr), &request,
                             sizeof(request)) != sizeof(request))
        return false;
    count = le16toh(request.virtqueue_pairs);
    if (count < 1 || count > net->pair_count)
        return false;
    for (unsigned int i = 0; i < count; i++)
        if (!net->pair[i].rx->running || !net->pair[i].tx->running)
            return false;
    if (count == net->active)
        return true;
    stop_pairs(net);
    net->active = count;
    if (start_pairs(net) == 0)
        return true;
    /* Rather none than some. */
    stop_pairs(net);
    return false;
}

static bool set_offloads(struct virtio_net *net, const struct virtqueue_chain *chain)
{
    uint64_t features;

    if (!has_feature(net, VIRTIO_NET_F_CTRL_GUEST_OFFLOADS) ||
        virtqueue_chain_read(chain, sizeof(struct virtio_net_ctrl_hdr), &features,
                             sizeof(features)) != sizeof(features))
        return false;
    features = le64toh(features);
    if ((features & ~(net->dev.driver_features & NET_GUEST_OFFLOADS)) != 0)
        return false;
    if (net->end->ops->set_offloads(net->end, features) < 0)
        return false;
    net->offloads = features;
    return true;
}

static uint8_t control(struct virtio_net *net, const struct virtqueue_chain *chain)
{
    struct virtio_net_ctrl_hdr header;
    bool is_done = false;

    if (virtqueue_chain_read(chain, 0, &header, sizeof(header)) != sizeof(header))
        return VIRTIO_NET_ERR;
    if (header.class == VIRTIO_NET_CTRL_MAC && header.cmd == VIRTIO_NET_CTRL_MAC_ADDR_SET)
        is_done = set_mac(net, chain);
    else if (header.class == VIRTIO_NET_CTRL_MQ && header.cmd == VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET)
        is_done = set_pairs(net, chain);
    else if (header.class == VIRTIO_NET_CTRL_GUEST_OFFLOADS &&
             header.cmd == VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET)
        is_done = set_offloads(net, chain);
    return is_done ? VIRTIO_NET_OK : VIRTIO_NET_ERR;
}

static void serve_control(struct virtio_net *net, struct virtqueue *vq)
{
    struct virtqueue_chain chain;

    for (unsigned int i = 0; i < CONTROL_TURN && virtqueue_pop(vq, &chain) > 0; i++) {
        uint8_t ack = control(net, &chain);

        virtqueue_push(vq, chain.head,
                       (uint32_t)virtqueue_chain_write(&chain, 0, &ack, sizeof(ack)));
    }
    virtqueue_notify(vq);
    virtqueue_await_kick(vq);
}

/* ---- The device ---- */

static void net_kick(struct virtio_device *dev, unsigned int index)
{
    struct virtio_net *net = net_of(dev);

    if (index == control_index(net)) {
        serve_control(net, &dev->queue[index]);
        return;
    }
    /* Released: the pair goes on. */
    if (index / 2 < net->active && !net->pair[index / 2].has_thread &&
        start_pair(&net->pair[index / 2]) < 0)
        stop_pair(&net->pair[index / 2]);
}

/* Threads that are gone take no chains. */
static void net_hold(struct virtio_device *dev)
{
    stop_pairs(net_of(dev));
}

static void net_config_read(struct virtio_device *dev, uint32_t offset, void *buf, uint32_t size)
{
    struct virtio_net *net = net_of(dev);
    uint64_t mac = atomic_load(&net->mac);
    struct virtio_net_config config = {
        .status = htole16(atomic_load(&net->is_link_up) ? VIRTIO_NET_S_LINK_UP : 0),
        .max_virtqueue_pairs = htole16((uint16_t)net->pair_count),
        .mtu = htole16(net->mtu),
    };

    for (unsigned int i = 0; i < sizeof(config.mac); i++)
        config.mac[i] = (uint8_t)(mac >> (8 * i));
    virtio_config_copy(&config, sizeof(config), offset, buf, size);
}

static bool net_has_own_kicks(struct virtio_device *dev, unsigned int index)
{
    return index != control_index(net_of(dev));
}

static int net_start(struct virtio_device *dev)
{
    struct virtio_net *net = net_of(dev);

    net->active = net->is_restored ? net->active : 1;
    net->offloads =
        (net->is_restored ? net->offloads : UINT64_MAX) & dev->driver_features & NET_GUEST_OFFLOADS;
    net->is_restored = false;
    if (net->end->ops->set_offloads != NULL)
        (void)net->end->ops->set_offloads(net->end, net->offloads);
    return start_pairs(net);
}

static void net_stop(struct virtio_device *dev)
{
    stop_pairs(net_of(dev));
}

static int net_save(struct virtio_device *dev, Snapshot__Virtio *state, struct crosh_error *err)
{
    struct virtio_net *net = net_of(dev);
    Snapshot__Net *own = SNAPSHOT_NEW(Snapshot__Net, snapshot__net__init);

    if (own == NULL)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    state->net = own;
    own->mac = atomic_load(&net->mac);
    own->pairs = net->active;
    own->offloads = net->offloads;
    return 0;
}

/* Frames that were on their way are lost, as networks lose some. */
static int net_restore(struct virtio_device *dev, const Snapshot__Virtio *state,
                       struct crosh_error *err)
{
    struct virtio_net *net = net_of(dev);
    const Snapshot__Net *own = state->net;

    if (own == NULL || own->pairs < 1 || own->pairs > net->pair_count)
        return crosh_error_set(err, -EBADMSG, "the state of virtio-net makes no sense");
    atomic_store(&net->mac, own->mac);
    net->active = own->pairs;
    net->offloads = own->offloads;
    net->is_restored = state->is_started;
    return 0;
}

static const struct virtio_device_ops net_ops = {
    .device_id = VIRTIO_ID_NET,
    .name = "net",
    .config_read = net_config_read,
    .start = net_start,
    .stop = net_stop,
    .kick = net_kick,
    .hold = net_hold,
    .has_own_kicks = net_has_own_kicks,
    .save = net_save,
    .restore = net_restore,
};

static void on_gone(void *opaque, uint32_t events)
{
    struct virtio_net *net = opaque;
    eventfd_t count;

    (void)events;
    (void)eventfd_read(net->gone_fd, &count);
    if (atomic_exchange(&net->is_link_up, false))
        virtio_device_config_changed(&net->dev);
}

static void offer_features(struct virtio_net *net)
{
    uint64_t features = NET_FEATURE(VIRTIO_NET_F_MAC) | NET_FEATURE(VIRTIO_NET_F_STATUS) |
                        NET_FEATURE(VIRTIO_NET_F_MRG_RXBUF) | net->end->features;

    if (net->mtu != 0)
        features |= NET_FEATURE(VIRTIO_NET_F_MTU);
    /* The control queue only where there is something to control: setting it up costs exits. */
    if (net->pair_count > 1)
        features |= NET_FEATURE(VIRTIO_NET_F_MQ) | NET_FEATURE(VIRTIO_NET_F_CTRL_VQ);
    if ((net->end->features & NET_GUEST_OFFLOADS) != 0)
        features |=
            NET_FEATURE(VIRTIO_NET_F_CTRL_GUEST_OFFLOADS) | NET_FEATURE(VIRTIO_NET_F_CTRL_VQ);
    if ((features & NET_FEATURE(VIRTIO_NET_F_CTRL_VQ)) != 0)
        features |= NET_FEATURE(VIRTIO_NET_F_CTRL_MAC_ADDR);
    net->dev.features |= features;
    net->dev.queue_count =
        2 * net->pair_count + ((features & NET_FEATURE(VIRTIO_NET_F_CTRL_VQ)) != 0 ? 1 : 0);
}

struct virtio_device *virtio_net_new(struct event_loop *loop, const struct nic *nic,
                                     unsigned int vcpus, struct crosh_error *err)
{
    struct virtio_net *net = calloc(1, sizeof(*net));
    unsigned int pairs = nic->end->queue_count < vcpus ? nic->end->queue_count : vcpus;
    uint64_t mac = 0;

    if (net == NULL || (net->pair = calloc(pairs, sizeof(*net->pair))) == NULL) {
        free(net);
        crosh_error_set(err, -ENOMEM, "out of memory");
        return NULL;
    }
    virtio_device_init(&net->dev, &net_ops, loop, 2);
    net->end = nic->end;
    net->mtu = nic->mtu;
    net->pair_count = pairs;
    net->active = 1;
    for (unsigned int i = 0; i < NIC_ETHER_BYTES; i++)
        mac |= (uint64_t)nic->mac[i] << (8 * i);
    atomic_init(&net->mac, mac);
    atomic_init(&net->is_link_up, true);
    offer_features(net);
    for (unsigned int i = 0; i < net->dev.queue_count; i++)
        net->dev.queue[i].size_max = i == 2 * pairs ? CONTROL_QUEUE_SIZE : NET_QUEUE_SIZE;
    for (unsigned int i = 0; i < pairs; i++) {
        struct net_pair *pair = &net->pair[i];

        pair->net = net;
        pair->index = i;
        pair->rx = &net->dev.queue[2 * i];
        pair->tx = &net->dev.queue[2 * i + 1];
    }
    net->gone_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (net->gone_fd >= 0)
        net->gone_source = event_add(loop, net->gone_fd, EPOLLIN, on_gone, net);
    if (net->gone_source == NULL) {
        crosh_error_errno(err, "virtio-net");
        virtio_net_free(&net->dev);
        return NULL;
    }
    return &net->dev;
}

void virtio_net_free(struct virtio_device *dev)
{
    struct virtio_net *net;

    if (dev == NULL)
        return;
    net = net_of(dev);
    virtio_device_stop(dev);
    event_remove(net->gone_source);
    if (net->gone_fd >= 0)
        (void)close(net->gone_fd);
    free(net->pair);
    free(net);
}

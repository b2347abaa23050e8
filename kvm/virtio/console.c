/* SPDX-License-Identifier: MIT */
/* virtio-console: carries terminal bytes between the guest and a callback. */

/*
 * Every port is a pair of queues and an input buffer (struct console_port). The console
 * is port 0. Others are there only if they were asked for: then the device has control
 * queues, 2 and 3, on which each side tells the other what becomes of ports
 * (console-control.c). What a named port's other end does not take stays in the queue.
 */
#include "kvm/virtio/console-internal.h"

#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <linux/virtio_console.h>
#include <linux/virtio_ids.h>

#include "kvm/snapshot/format.h"

#define CONSOLE_QUEUE_SIZE 64
#define CONSOLE_OUTPUT_MAX 4096
#define CONSOLE_CHAIN_MAX  (1024u * 1024)

static struct virtio_console *console_of(struct virtio_device *dev)
{
    return (struct virtio_console *)dev;
}

static void console_config_read(struct virtio_device *dev, uint32_t offset, void *buf,
                                uint32_t size)
{
    uint32_t dimensions = atomic_load(&console_of(dev)->size);
    const struct virtio_console_config config = {
        .cols = htole16((uint16_t)(dimensions >> 16)),
        .rows = htole16((uint16_t)dimensions),
        .max_nr_ports = htole32(console_of(dev)->port_count),
    };

    virtio_config_copy(&config, sizeof(config), offset, buf, size);
}

void console_feed_guest(struct virtio_console *console, struct console_port *port)
{
    struct virtqueue *vq = &console->dev.queue[port->rx];
    struct virtqueue_chain chain;
    bool took = false;

    /* Linux drops what comes for a port that no program has open. */
    if (port->ops != NULL && !port->is_guest_open)
        return;
    /* Bounded: buffers without room take no input, and there may be no end of them. */
    for (unsigned int i = 0;
         i < CONSOLE_KICK_MAX && port->in_head != port->in_tail && virtqueue_pop(vq, &chain) > 0;
         i++) {
        uint32_t written = 0;

        /* At most twice: the buffer wraps. */
        while (port->in_head != port->in_tail && written < chain.in_bytes) {
            uint32_t at = port->in_tail % CONSOLE_INPUT_MAX;
            uint32_t run = port->in_head - port->in_tail;
            uint32_t n;

            if (run > CONSOLE_INPUT_MAX - at)
                run = CONSOLE_INPUT_MAX - at;
            n = (uint32_t)virtqueue_chain_write(&chain, written, port->input + at, run);
            port->in_tail += n;
            written += n;
        }
        virtqueue_push(vq, chain.head, written);
        took |= written > 0;
    }
    virtqueue_notify(vq);
    if (took && port->ops != NULL)
        port->ops->room(port->opaque);
    /* Kicks matter only while input waits for buffers. */
    if (port->in_head != port->in_tail)
        virtqueue_await_kick(vq);
    else
        virtqueue_enable_kicks(vq, false);
}

/* Passes the chain on from where it was left; false: the other end takes no more for now. */
static bool pass_on(struct virtio_console *console, struct console_port *port,
                    const struct virtqueue_chain *chain)
{
    uint8_t copy[CONSOLE_OUTPUT_MAX];
    size_t n, taken;

    while (port->tx_offset < CONSOLE_CHAIN_MAX &&
           (n = virtqueue_chain_read(chain, port->tx_offset, copy, sizeof(copy))) > 0) {
        if (port->ops == NULL)
            console->output(console->opaque, copy, n);
        taken =
            port->ops != NULL && port->is_host_open ? port->ops->output(port->opaque, copy, n) : n;
        port->tx_offset += taken;
        if (taken < n)
            return false;
    }
    port->tx_offset = 0;
    return true;
}

void console_drain_guest(struct virtio_console *console, struct console_port *port)
{
    struct virtqueue *vq = &console->dev.queue[port->tx];
    struct virtqueue_chain chain;
    bool is_stuck = false;

    for (unsigned int i = 0; i < CONSOLE_KICK_MAX && !is_stuck && virtqueue_pop(vq, &chain) > 0;
         i++) {
        is_stuck = !pass_on(console, port, &chain);
        if (is_stuck)
            virtqueue_unpop(vq);
        else
            virtqueue_push(vq, chain.head, 0);
    }
    virtqueue_notify(vq);
    /* A kick says nothing new while there is no room. */
    if (is_stuck)
        virtqueue_enable_kicks(vq, false);
    else
        virtqueue_await_kick(vq);
}

static int console_start(struct virtio_device *dev)
{
    struct virtio_console *console = console_of(dev);

    console_feed_guest(console, console->port[0]);
    return 0;
}

static void console_stop(struct virtio_device *dev)
{
    struct virtio_console *console = console_of(dev);

    /* Nothing is held between calls; what was typed waits for the next driver. */
    console_control_reset(console);
    for (unsigned int i = 0; i < console->port_count; i++)
        console->port[i]->tx_offset = 0;
}

static void console_kick(struct virtio_device *dev, unsigned int index)
{
    struct virtio_console *console = console_of(dev);

    if (console->port_count > 1 && index == CONSOLE_CONTROL_RX)
        console_control_tell(console);
    else if (console->port_count > 1 && index == CONSOLE_CONTROL_TX)
        console_control_hear(console);
    for (unsigned int i = 0; i < console->port_count; i++) {
        struct console_port *port = console->port[i];

        if (index == port->rx)
            console_feed_guest(console, port);
        else if (index == port->tx)
            console_drain_guest(console, port);
    }
}

static int console_save(struct virtio_device *dev, Snapshot__Virtio *state, struct crosh_error *err)
{
    struct virtio_console *console = console_of(dev);
    const struct console_port *port = console->port[0];
    uint32_t dimensions = atomic_load(&console->size);
    Snapshot__Console *own = SNAPSHOT_NEW(Snapshot__Console, snapshot__console__init);

    if (own == NULL)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    state->console = own;
    own->columns = dimensions >> 16;
    own->rows = dimensions & 0xffff;
    own->ports = calloc(console->port_count, sizeof(*own->ports));
    if (own->ports == NULL)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    for (unsigned int i = 0; i < console->port_count; i++) {
        Snapshot__ConsolePort *one =
            SNAPSHOT_NEW(Snapshot__ConsolePort, snapshot__console_port__init);

        if (one == NULL || (one->name = strdup(console->port[i]->name)) == NULL) {
            free(one);
            return crosh_error_set(err, -ENOMEM, "out of memory");
        }
        one->is_ready = console->port[i]->is_ready;
        one->is_guest_open = console->port[i]->is_guest_open;
        own->ports[own->n_ports++] = one;
    }
    if (port->in_head == port->in_tail)
        return 0;
    own->input.data = malloc(port->in_head - port->in_tail);
    if (own->input.data == NULL)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    for (uint32_t at = port->in_tail; at != port->in_head; at++)
        own->input.data[own->input.len++] = port->input[at % CONSOLE_INPUT_MAX];
    return 0;
}

static int console_restore(struct virtio_device *dev, const Snapshot__Virtio *state,
                           struct crosh_error *err)
{
    struct virtio_console *console = console_of(dev);
    const Snapshot__Console *own = state->console;

    if (own == NULL || own->columns > UINT16_MAX || own->rows > UINT16_MAX)
        return crosh_error_set(err, -EBADMSG, "the state of virtio-console makes no sense");
    if (own->n_ports != console->port_count)
        return crosh_error_set(err, -EINVAL, "it has %zu console ports, the VM has %u",
                               own->n_ports, console->port_count);
    for (unsigned int i = 0; i < console->port_count; i++) {
        struct console_port *port = console->port[i];

        if (strcmp(own->ports[i]->name, port->name) != 0)
            return crosh_error_set(err, -EINVAL, "it has other console ports");
        port->is_ready = own->ports[i]->is_ready;
        port->is_guest_open = own->ports[i]->is_guest_open;
        /* Who was connected is not any more. */
        if (port->is_ready && port->ops != NULL)
            port->news = CONSOLE_NEWS_OPEN;
    }
    atomic_store(&console->size, own->columns << 16 | own->rows);
    (void)virtio_console_input(dev, own->input.data, own->input.len);
    return 0;
}

static const struct virtio_device_ops console_ops = {
    .device_id = VIRTIO_ID_CONSOLE,
    .name = "console",
    .config_read = console_config_read,
    .start = console_start,
    .stop = console_stop,
    .kick = console_kick,
    .save = console_save,
    .restore = console_restore,
};

struct virtio_device *virtio_console_new(struct event_loop *loop, virtio_console_output_fn *output,
                                         void *opaque, struct crosh_error *err)
{
    struct virtio_console *console = calloc(1, sizeof(*console));

    if (console == NULL || (console->port[0] = calloc(1, sizeof(*console->port[0]))) == NULL) {
        crosh_error_errno(err, "virtio-console");
        free(console);
        return NULL;
    }
    virtio_device_init(&console->dev, &console_ops, loop, 2);
    console->dev.features |= 1ULL << VIRTIO_CONSOLE_F_SIZE;
    console->port[0]->rx = 0;
    console->port[0]->tx = 1;
    console->port[0]->is_host_open = true;
    console->port_count = 1;
    for (unsigned int i = 0; i < VIRTIO_DEVICE_MAX_QUEUES; i++)
        console->dev.queue[i].size_max = CONSOLE_QUEUE_SIZE;
    console->output = output;
    console->opaque = opaque;
    atomic_init(&console->size, 80u << 16 | 25u);
    return &console->dev;
}

void virtio_console_free(struct virtio_device *dev)
{
    if (dev == NULL)
        return;
    virtio_device_stop(dev);
    for (unsigned int i = 0; i < console_of(dev)->port_count; i++)
        free(console_of(dev)->port[i]);
    free(console_of(dev));
}

int virtio_console_add_port(struct virtio_device *dev, const char *name,
                            const struct virtio_console_port_ops *ops, void *opaque)
{
    struct virtio_console *console = console_of(dev);
    unsigned int number = console->port_count;
    struct console_port *port;

    if (number > VIRTIO_CONSOLE_MAX_PORTS)
        return -ENOSPC;
    port = calloc(1, sizeof(*port));
    if (port == NULL)
        return -ENOMEM;
    port->rx = 2 * number + 2;
    port->tx = 2 * number + 3;
    port->ops = ops;
    port->opaque = opaque;
    (void)snprintf(port->name, sizeof(port->name), "%s", name);
    console->port[console->port_count++] = port;
    dev->queue_count = port->tx + 1;
    dev->features |= 1ULL << VIRTIO_CONSOLE_F_MULTIPORT;
    return (int)number;
}

void virtio_console_port_connect(struct virtio_device *dev, unsigned int number, bool is_open)
{
    struct virtio_console *console = console_of(dev);
    struct console_port *port = console->port[number];

    port->is_host_open = is_open;
    if (!is_open)
        port->in_tail = port->in_head;
    if (port->is_ready)
        port->news |= CONSOLE_NEWS_OPEN;
    if (!dev->started)
        return;
    console_control_tell(console);
    /* What waited for the one who left is dropped. */
    if (!is_open)
        virtio_console_port_drain(dev, number);
}

void virtio_console_port_drain(struct virtio_device *dev, unsigned int number)
{
    struct virtio_console *console = console_of(dev);

    if (dev->started)
        console_drain_guest(console, console->port[number]);
}

size_t virtio_console_port_room(struct virtio_device *dev, unsigned int number)
{
    const struct console_port *port = console_of(dev)->port[number];

    return port->is_guest_open ? CONSOLE_INPUT_MAX - (port->in_head - port->in_tail) : 0;
}

bool virtio_console_port_is_idle(struct virtio_device *dev, unsigned int number)
{
    const struct console_port *port = console_of(dev)->port[number];

    return !port->is_guest_open || port->in_head == port->in_tail;
}

/* Keeps input for the guest, and gives it what it takes at once. */
static size_t take_input(struct virtio_console *console, struct console_port *port,
                         const uint8_t *bytes, size_t size)
{
    uint32_t room = CONSOLE_INPUT_MAX - (port->in_head - port->in_tail);

    if (size > room)
        size = room;
    for (size_t i = 0; i < size; i++)
        port->input[port->in_head++ % CONSOLE_INPUT_MAX] = bytes[i];
    if (console->dev.started)
        console_feed_guest(console, port);
    return size;
}

size_t virtio_console_input(struct virtio_device *dev, const void *data, size_t size)
{
    struct virtio_console *console = console_of(dev);

    return take_input(console, console->port[0], data, size);
}

size_t virtio_console_port_input(struct virtio_device *dev, unsigned int number, const void *data,
                                 size_t size)
{
    struct virtio_console *console = console_of(dev);
    size_t room = virtio_console_port_room(dev, number);

    return take_input(console, console->port[number], data, size < room ? size : room);
}

void virtio_console_resize(struct virtio_device *dev, uint16_t columns, uint16_t rows)
{
    atomic_store(&console_of(dev)->size, (uint32_t)columns << 16 | rows);
    virtio_device_config_changed(dev);
}

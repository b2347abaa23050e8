/* SPDX-License-Identifier: MIT */
/* virtio-console: carries terminal bytes between the guest and a callback. */

/*
 * Every port is a pair of queues and an input buffer (struct console_port). There
 * is one port now; VIRTIO_CONSOLE_F_MULTIPORT would add more of them, and the
 * control queues 2 and 3 between the first port and the rest (section 5.3.2).
 */
#include "kvm/virtio/console.h"

#include <endian.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <linux/virtio_console.h>
#include <linux/virtio_ids.h>

#include "kvm/snapshot/format.h"

#define CONSOLE_QUEUE_SIZE 64
#define CONSOLE_INPUT_MAX  (64u * 1024) /* power of two */
/* What one kick may cost before others get their turn. */
#define CONSOLE_KICK_MAX   64
#define CONSOLE_OUTPUT_MAX 4096
#define CONSOLE_CHAIN_MAX  (1024u * 1024)

struct console_port {
    unsigned int rx, tx;       /* queue numbers: to the guest, from the guest */
    uint32_t in_head, in_tail; /* counted through; index modulo CONSOLE_INPUT_MAX */
    uint8_t input[CONSOLE_INPUT_MAX];
};

struct virtio_console {
    struct virtio_device dev;
    virtio_console_output_fn *output;
    void *opaque;
    /* columns << 16 | rows: the configuration is read on other threads. */
    _Atomic uint32_t size;
    struct console_port port;
};

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
        .max_nr_ports = htole32(1),
    };

    virtio_config_copy(&config, sizeof(config), offset, buf, size);
}

static void feed_guest(struct virtio_console *console, struct console_port *port)
{
    struct virtqueue *vq = &console->dev.queue[port->rx];
    struct virtqueue_chain chain;

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
    }
    virtqueue_notify(vq);
    /* Kicks matter only while input waits for buffers. */
    if (port->in_head != port->in_tail)
        virtqueue_await_kick(vq);
    else
        virtqueue_enable_kicks(vq, false);
}

static void drain_guest(struct virtio_console *console, struct console_port *port)
{
    struct virtqueue *vq = &console->dev.queue[port->tx];
    struct virtqueue_chain chain;
    uint8_t copy[CONSOLE_OUTPUT_MAX];

    for (unsigned int i = 0; i < CONSOLE_KICK_MAX && virtqueue_pop(vq, &chain) > 0; i++) {
        size_t offset = 0, n;

        while (offset < CONSOLE_CHAIN_MAX &&
               (n = virtqueue_chain_read(&chain, offset, copy, sizeof(copy))) > 0) {
            console->output(console->opaque, copy, n);
            offset += n;
        }
        virtqueue_push(vq, chain.head, 0);
    }
    virtqueue_notify(vq);
    virtqueue_await_kick(vq);
}

static int console_start(struct virtio_device *dev)
{
    struct virtio_console *console = console_of(dev);

    feed_guest(console, &console->port);
    return 0;
}

static void console_stop(struct virtio_device *dev)
{
    (void)dev; /* nothing is held between calls; input waits for the next driver */
}

static void console_kick(struct virtio_device *dev, unsigned int index)
{
    struct virtio_console *console = console_of(dev);

    if (index == console->port.rx)
        feed_guest(console, &console->port);
    else if (index == console->port.tx)
        drain_guest(console, &console->port);
}

static int console_save(struct virtio_device *dev, Snapshot__Virtio *state, struct crosh_error *err)
{
    struct virtio_console *console = console_of(dev);
    const struct console_port *port = &console->port;
    uint32_t dimensions = atomic_load(&console->size);
    Snapshot__Console *own = SNAPSHOT_NEW(Snapshot__Console, snapshot__console__init);

    if (own == NULL)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    state->console = own;
    own->columns = dimensions >> 16;
    own->rows = dimensions & 0xffff;
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

    if (console == NULL) {
        crosh_error_errno(err, "virtio-console");
        return NULL;
    }
    virtio_device_init(&console->dev, &console_ops, loop, 2);
    console->dev.features |= 1ULL << VIRTIO_CONSOLE_F_SIZE;
    console->port.rx = 0;
    console->port.tx = 1;
    console->dev.queue[0].size_max = CONSOLE_QUEUE_SIZE;
    console->dev.queue[1].size_max = CONSOLE_QUEUE_SIZE;
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
    free(console_of(dev));
}

size_t virtio_console_input(struct virtio_device *dev, const void *data, size_t size)
{
    struct virtio_console *console = console_of(dev);
    struct console_port *port = &console->port;
    const uint8_t *bytes = data;
    uint32_t room = CONSOLE_INPUT_MAX - (port->in_head - port->in_tail);

    if (size > room)
        size = room;
    for (size_t i = 0; i < size; i++)
        port->input[port->in_head++ % CONSOLE_INPUT_MAX] = bytes[i];
    if (dev->started)
        feed_guest(console, port);
    return size;
}

void virtio_console_resize(struct virtio_device *dev, uint16_t columns, uint16_t rows)
{
    atomic_store(&console_of(dev)->size, (uint32_t)columns << 16 | rows);
    virtio_device_config_changed(dev);
}

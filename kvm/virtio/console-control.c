/* SPDX-License-Identifier: MIT */
/* virtio-console's control queues: what becomes of ports, told both ways (virtio 1.2 5.3.6.2). */

/*
 * News for the guest are flags of a port, not a list: a guest that takes no messages
 * makes nothing grow, and a port that is opened and closed meanwhile is told of as it
 * is when there is a buffer. The guest's messages are copied, and their port's number is
 * checked; one that makes no sense is ignored.
 */
#include <endian.h>
#include <string.h>

#include <linux/virtio_console.h>

#include "kvm/virtio/console-internal.h"

void console_control_reset(struct virtio_console *console)
{
    for (unsigned int i = 0; i < console->port_count; i++) {
        struct console_port *port = console->port[i];

        port->is_ready = port->is_guest_open = false;
        port->news = 0;
    }
}

/* Writes one message into a buffer of the guest's; false: it has none. */
static bool tell(struct virtio_console *console, unsigned int id, uint16_t event, uint16_t value,
                 const char *name)
{
    struct virtqueue *vq = &console->dev.queue[CONSOLE_CONTROL_RX];
    const struct virtio_console_control message = {
        .id = htole32(id), .event = htole16(event), .value = htole16(value)};
    struct virtqueue_chain chain;
    size_t written;

    if (virtqueue_pop(vq, &chain) <= 0)
        return false;
    written = virtqueue_chain_write(&chain, 0, &message, sizeof(message));
    if (name != NULL)
        written += virtqueue_chain_write(&chain, written, name, strlen(name));
    virtqueue_push(vq, chain.head, (uint32_t)written);
    return true;
}

/* Tells one thing of a port; false: there is no buffer for it. */
static bool tell_next(struct virtio_console *console, unsigned int id)
{
    struct console_port *port = console->port[id];
    unsigned int next = port->news & -port->news; /* in the order of the flags */
    bool told;

    switch (next) {
    case CONSOLE_NEWS_ADD:
        told = tell(console, id, VIRTIO_CONSOLE_PORT_ADD, 1, NULL);
        break;
    case CONSOLE_NEWS_CONSOLE:
        told = tell(console, id, VIRTIO_CONSOLE_CONSOLE_PORT, 1, NULL);
        break;
    case CONSOLE_NEWS_NAME:
        told = tell(console, id, VIRTIO_CONSOLE_PORT_NAME, 1, port->name);
        break;
    default:
        told = tell(console, id, VIRTIO_CONSOLE_PORT_OPEN, port->is_host_open, NULL);
        break;
    }
    if (told)
        port->news &= ~next;
    return told;
}

void console_control_tell(struct virtio_console *console)
{
    struct virtqueue *vq = &console->dev.queue[CONSOLE_CONTROL_RX];
    bool has_buffers = console_is_multiport(console);

    for (unsigned int id = 0; id < console->port_count; id++)
        while (console->port[id]->news != 0 && has_buffers)
            has_buffers = tell_next(console, id);
    virtqueue_notify(vq);
    virtqueue_enable_kicks(vq, true);
}

/* The driver has made a port, or says that it could not (value 0). */
static void on_ready(struct console_port *port, bool is_ready)
{
    port->is_ready = is_ready;
    if (!is_ready)
        port->news = 0;
    else if (port->ops == NULL)
        port->news |= CONSOLE_NEWS_CONSOLE | CONSOLE_NEWS_OPEN;
    else
        port->news |= CONSOLE_NEWS_NAME | CONSOLE_NEWS_OPEN;
}

static void on_open(struct virtio_console *console, struct console_port *port, bool is_open)
{
    port->is_guest_open = is_open;
    if (port->ops == NULL)
        return;
    console_feed_guest(console, port);
    port->ops->room(port->opaque);
}

static void on_message(struct virtio_console *console, const struct virtio_console_control *message)
{
    uint32_t id = le32toh(message->id);
    uint16_t event = le16toh(message->event);
    bool value = le16toh(message->value) != 0;

    if (event == VIRTIO_CONSOLE_DEVICE_READY && value) {
        for (unsigned int i = 0; i < console->port_count; i++)
            console->port[i]->news |= CONSOLE_NEWS_ADD;
    } else if (id < console->port_count) {
        if (event == VIRTIO_CONSOLE_PORT_READY)
            on_ready(console->port[id], value);
        else if (event == VIRTIO_CONSOLE_PORT_OPEN)
            on_open(console, console->port[id], value);
    }
}

void console_control_hear(struct virtio_console *console)
{
    struct virtqueue *vq = &console->dev.queue[CONSOLE_CONTROL_TX];
    struct virtqueue_chain chain;

    for (unsigned int i = 0; i < CONSOLE_KICK_MAX && virtqueue_pop(vq, &chain) > 0; i++) {
        struct virtio_console_control message;

        if (virtqueue_chain_read(&chain, 0, &message, sizeof(message)) == sizeof(message))
            on_message(console, &message);
        virtqueue_push(vq, chain.head, 0);
    }
    virtqueue_notify(vq);
    virtqueue_await_kick(vq);
    console_control_tell(console);
}

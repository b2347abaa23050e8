/* SPDX-License-Identifier: MIT */
/* virtio-console's inside: what its data queues and its control queues share. */
#ifndef KVM_VIRTIO_CONSOLE_INTERNAL_H
#define KVM_VIRTIO_CONSOLE_INTERNAL_H

#include <stdatomic.h>

#include "kvm/virtio/console.h"

#define CONSOLE_INPUT_MAX (64u * 1024) /* power of two */
/* What one kick may cost before others get their turn. */
#define CONSOLE_KICK_MAX 64

/* Queue numbers of the control queues (5.3.2): to the guest, from the guest. */
enum { CONSOLE_CONTROL_RX = 2, CONSOLE_CONTROL_TX = 3 };

/* What the guest has to be told of a port; a set, so that there is never more than one of each. */
enum console_news {
    CONSOLE_NEWS_ADD = 1 << 0,
    CONSOLE_NEWS_CONSOLE = 1 << 1, /* it is a console */
    CONSOLE_NEWS_NAME = 1 << 2,
    CONSOLE_NEWS_OPEN = 1 << 3, /* whether somebody is there on the host's side */
};

struct console_port {
    unsigned int rx, tx; /* queue numbers: to the guest, from the guest */
    /* NULL: the console itself */
    const struct virtio_console_port_ops *ops;
    void *opaque;
    char name[VIRTIO_CONSOLE_NAME_MAX + 1];
    bool is_ready;             /* the driver has made it */
    bool is_guest_open;        /* a program of the guest has it open */
    bool is_host_open;         /* somebody is connected */
    unsigned int news;         /* enum console_news */
    size_t tx_offset;          /* bytes of the first available chain that were passed on */
    uint32_t in_head, in_tail; /* counted through; index modulo CONSOLE_INPUT_MAX */
    uint8_t input[CONSOLE_INPUT_MAX];
};

struct virtio_console {
    struct virtio_device dev;
    virtio_console_output_fn *output;
    void *opaque;
    /* columns << 16 | rows: the configuration is read on other threads. */
    _Atomic uint32_t size;
    unsigned int port_count;
    struct console_port *port[VIRTIO_CONSOLE_MAX_PORTS + 1]; /* the first is the console */
};

static inline bool console_is_multiport(const struct virtio_console *console)
{
    return console->dev.started &&
           virtio_device_has_feature(&console->dev, 1 /* VIRTIO_CONSOLE_F_MULTIPORT */);
}

/* console.c: input for the guest, output of the guest, as far as there is room. */
void console_feed_guest(struct virtio_console *console, struct console_port *port);
void console_drain_guest(struct virtio_console *console, struct console_port *port);

/* console-control.c */
/* A new driver: nothing is known of the ports. */
void console_control_reset(struct virtio_console *console);
/* Tells the guest the news that there are, as far as it has buffers. */
void console_control_tell(struct virtio_console *console);
/* Hears what the guest says. */
void console_control_hear(struct virtio_console *console);

#endif

/* SPDX-License-Identifier: MIT */
/* Implements the power button: what the driver asks about it, and its events. */
#include "kvm/virtio/button.h"

#include <endian.h>
#include <errno.h>
#include <linux/input-event-codes.h>
#include <linux/input.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_input.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "kvm/snapshot/format.h"

enum { QUEUE_EVENTS, QUEUE_STATUS, QUEUE_COUNT };

#define QUEUE_SIZE 16
/* Changes of lamps and the like that one kick takes back; the driver has no reason to send any. */
#define KICK_MAX 64

struct virtio_button {
    struct virtio_device dev; /* first */
    /* What the driver asks about; with the transport's lock held, as all of the configuration. */
    uint8_t select, subsel;
};

static struct virtio_button *button_of(struct virtio_device *dev)
{
    return (struct virtio_button *)(void *)dev;
}

/* The answer to what is selected; of size 0 where there is none (5.8.5.1). */
static void describe(const struct virtio_button *button, struct virtio_input_config *config)
{
    static const char name[] = "crosh power button";

    config->select = button->select;
    config->subsel = button->subsel;
    if (button->select == VIRTIO_INPUT_CFG_ID_NAME && button->subsel == 0) {
        config->size = sizeof(name) - 1;
        memcpy(config->u.string, name, sizeof(name) - 1);
    } else if (button->select == VIRTIO_INPUT_CFG_ID_DEVIDS && button->subsel == 0) {
        config->size = sizeof(config->u.ids);
        config->u.ids.bustype = htole16(BUS_VIRTUAL);
    } else if (button->select == VIRTIO_INPUT_CFG_EV_BITS && button->subsel == EV_KEY) {
        config->size = KEY_POWER / 8 + 1;
        config->u.bitmap[KEY_POWER / 8] = 1 << KEY_POWER % 8;
    }
}

static void button_config_read(struct virtio_device *dev, uint32_t offset, void *buf, uint32_t size)
{
    struct virtio_input_config config = {0};

    describe(button_of(dev), &config);
    virtio_config_copy(&config, sizeof(config), offset, buf, size);
}

static void button_config_write(struct virtio_device *dev, uint32_t offset, const void *buf,
                                uint32_t size)
{
    struct virtio_button *button = button_of(dev);
    const uint8_t *bytes = buf;

    for (uint32_t i = 0; i < size && i < 2; i++) {
        if (offset + i == offsetof(struct virtio_input_config, select))
            button->select = bytes[i];
        else if (offset + i == offsetof(struct virtio_input_config, subsel))
            button->subsel = bytes[i];
    }
}

static int button_start(struct virtio_device *dev)
{
    (void)dev;
    return 0;
}

static void button_stop(struct virtio_device *dev)
{
    (void)dev;
}

/* Buffers for events wait until there are some; the other queue has nothing to tell us. */
static void button_kick(struct virtio_device *dev, unsigned int index)
{
    struct virtqueue *vq = &dev->queue[index];
    struct virtqueue_chain chain;

    if (index != QUEUE_STATUS)
        return;
    for (unsigned int i = 0; i < KICK_MAX && virtqueue_pop(vq, &chain) > 0; i++)
        virtqueue_push(vq, chain.head, 0);
    virtqueue_notify(vq);
    virtqueue_await_kick(vq);
}

static int button_save(struct virtio_device *dev, Snapshot__Virtio *state, struct crosh_error *err)
{
    state->button = SNAPSHOT_NEW(Snapshot__Button, snapshot__button__init);
    if (state->button == NULL)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    state->button->select = button_of(dev)->select;
    state->button->subsel = button_of(dev)->subsel;
    return 0;
}

static int button_restore(struct virtio_device *dev, const Snapshot__Virtio *state,
                          struct crosh_error *err)
{
    (void)err;
    if (state->button != NULL) {
        button_of(dev)->select = (uint8_t)state->button->select;
        button_of(dev)->subsel = (uint8_t)state->button->subsel;
    }
    return 0;
}

static const struct virtio_device_ops button_ops = {
    .device_id = VIRTIO_ID_INPUT,
    .name = "input",
    .config_read = button_config_read,
    .config_write = button_config_write,
    .start = button_start,
    .stop = button_stop,
    .kick = button_kick,
    .save = button_save,
    .restore = button_restore,
};

struct virtio_device *virtio_button_new(struct event_loop *loop, struct crosh_error *err)
{
    struct virtio_button *button = calloc(1, sizeof(*button));

    if (button == NULL) {
        crosh_error_set(err, -ENOMEM, "out of memory");
        return NULL;
    }
    virtio_device_init(&button->dev, &button_ops, loop, QUEUE_COUNT);
    for (unsigned int i = 0; i < QUEUE_COUNT; i++)
        button->dev.queue[i].size_max = QUEUE_SIZE;
    return &button->dev;
}

void virtio_button_press(struct virtio_device *dev)
{
    static const struct {
        uint16_t type, code;
        uint32_t value;
    } events[] = {
        {EV_KEY, KEY_POWER, 1},
        {EV_SYN, SYN_REPORT, 0},
        {EV_KEY, KEY_POWER, 0},
        {EV_SYN, SYN_REPORT, 0},
    };
    struct virtqueue *vq = &dev->queue[QUEUE_EVENTS];
    struct virtqueue_chain chain;

    if (!dev->started)
        return;
    for (size_t i = 0; i < sizeof(events) / sizeof(events[0]) && virtqueue_pop(vq, &chain) > 0;
         i++) {
        const struct virtio_input_event event = {.type = htole16(events[i].type),
                                                 .code = htole16(events[i].code),
                                                 .value = htole32(events[i].value)};

        virtqueue_push(vq, chain.head,
                       (uint32_t)virtqueue_chain_write(&chain, 0, &event, sizeof(event)));
    }
    virtqueue_notify(vq);
}

void virtio_button_free(struct virtio_device *dev)
{
    if (dev == NULL)
        return;
    virtio_device_stop(dev);
    free(dev);
}

/* SPDX-License-Identifier: MIT */
/* Fuzzes virtio-console: output, input, the window's size, and ports with their control queues. */
#include "kvm/virtio/console.h"
#include "tests/fuzz/device-fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool ports; /* there are some, this time */

/* Every byte is to be had. */
static void on_output(void *opaque, const void *data, size_t size)
{
    const uint8_t *bytes = data;
    unsigned int *sum = opaque;

    for (size_t i = 0; i < size; i++)
        *sum += bytes[i];
}

static size_t on_port_output(void *opaque, const void *data, size_t size)
{
    on_output(opaque, data, size);
    return size > 100 ? 100 : size; /* takes part of what is much */
}

static void on_room(void *opaque)
{
    (void)opaque;
}

static void act_on_port(struct virtio_device *dev, uint16_t what, uint16_t value)
{
    static const uint8_t sent[4096];
    unsigned int port = 1 + value % 2;

    if (what % 3 == 0)
        virtio_console_port_connect(dev, port, (value & 256) != 0);
    else if (what % 3 == 1)
        (void)virtio_console_port_input(dev, port, sent, value % sizeof(sent));
    else
        virtio_console_port_drain(dev, port);
}

static void act(struct virtio_device *dev, uint16_t what, uint16_t value)
{
    static const uint8_t typed[4096];

    if (what % 4 >= 2 && ports)
        act_on_port(dev, what / 4, value);
    else if (what % 4 == 0)
        (void)virtio_console_input(dev, typed, value % sizeof(typed));
    else
        virtio_console_resize(dev, what, value);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct virtio_console_port_ops ops = {.output = on_port_output, .room = on_room};
    static struct event_loop *loop; /* for all inputs: making one takes long */
    struct fuzz_input in = {.data = data, .size = size};
    struct fuzz_guest guest;
    struct virtio_device *dev;
    unsigned int sum = 0;

    if (loop == NULL)
        loop = event_loop_new(NULL);
    fuzz_guest_init(&guest);
    dev = virtio_console_new(loop, on_output, &sum, NULL);
    if ((fuzz_take16(&in) & 1) != 0 && (virtio_console_add_port(dev, "one", &ops, &sum) != 1 ||
                                        virtio_console_add_port(dev, "two", &ops, &sum) != 2))
        abort();
    ports = dev->queue_count > 2;
    fuzz_set_up(dev, &in);
    fuzz_drive(dev, &guest, &in, act);
    virtio_console_free(dev);
    fuzz_guest_fini(&guest);
    return 0;
}

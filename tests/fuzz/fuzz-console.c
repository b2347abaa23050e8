/* SPDX-License-Identifier: MIT */
/* Fuzzes virtio-console: output, input and the window's size. */
#include "kvm/virtio/console.h"
#include "tests/fuzz/device-fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Every byte is to be had. */
static void on_output(void *opaque, const void *data, size_t size)
{
    const uint8_t *bytes = data;
    unsigned int *sum = opaque;

    for (size_t i = 0; i < size; i++)
        *sum += bytes[i];
}

static void act(struct virtio_device *dev, uint16_t what, uint16_t value)
{
    static const uint8_t typed[4096];

    if (what % 2 == 0)
        (void)virtio_console_input(dev, typed, value % sizeof(typed));
    else
        virtio_console_resize(dev, what, value);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct event_loop *loop; /* for all inputs: making one takes long */
    struct fuzz_input in = {.data = data, .size = size};
    struct fuzz_guest guest;
    struct virtio_device *dev;
    unsigned int sum = 0;

    if (loop == NULL)
        loop = event_loop_new(NULL);
    fuzz_guest_init(&guest);
    dev = virtio_console_new(loop, on_output, &sum, NULL);
    fuzz_set_up(dev, &in);
    fuzz_drive(dev, &guest, &in, act);
    virtio_console_free(dev);
    fuzz_guest_fini(&guest);
    return 0;
}

/* SPDX-License-Identifier: MIT */
/* Fuzzes virtio-input as the power button: its configuration and its queues. */
#include "kvm/virtio/button.h"
#include "tests/fuzz/device-fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void act(struct virtio_device *dev, uint16_t what, uint16_t value)
{
    uint8_t config[160];
    uint32_t wide = (uint32_t)value << 16 | value;

    if (what % 2 == 0)
        virtio_button_press(dev);
    else
        dev->ops->config_write(dev, what / 2 % 160, &wide, (what & 64) != 0 ? 4 : 1);
    dev->ops->config_read(dev, what % 160, config, value % sizeof(config));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct event_loop *loop; /* for all inputs: making one takes long */
    struct fuzz_input in = {.data = data, .size = size};
    struct fuzz_guest guest;
    struct virtio_device *dev;

    if (loop == NULL)
        loop = event_loop_new(NULL);
    fuzz_guest_init(&guest);
    dev = virtio_button_new(loop, NULL);
    fuzz_set_up(dev, &in);
    fuzz_drive(dev, &guest, &in, act);
    virtio_button_free(dev);
    fuzz_guest_fini(&guest);
    return 0;
}

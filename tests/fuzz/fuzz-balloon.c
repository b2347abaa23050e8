/* SPDX-License-Identifier: MIT */
/* Fuzzes virtio-balloon: page numbers, reports, statistics and the configuration. */
#include "kvm/virtio/balloon.h"
#include "tests/fuzz/device-fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void on_something(void *opaque)
{
    (void)opaque;
}

static void act(struct virtio_device *dev, uint16_t what, uint16_t value)
{
    uint32_t wide = (uint32_t)value << 16 | value;

    if (what % 3 == 0)
        (void)virtio_balloon_ask_stats(dev);
    else if (what % 3 == 1)
        dev->ops->config_write(dev, what / 4 % 16, &wide, (what & 64) != 0 ? 4 : 2);
    else
        virtio_balloon_set_target(dev, (uint64_t)value << 12);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct virtio_balloon_ops ops = {.stats = on_something, .changed = on_something};
    static struct event_loop *loop; /* for all inputs: making one takes long */
    struct fuzz_input in = {.data = data, .size = size};
    struct virtio_balloon_info info;
    struct fuzz_guest guest;
    struct virtio_device *dev;

    if (loop == NULL)
        loop = event_loop_new(NULL);
    fuzz_guest_init(&guest);
    guest.memory.region[0].backing =
        (fuzz_take16(&in) & 1) != 0 ? GUEST_MEMORY_PRIVATE_FILE : GUEST_MEMORY_ANONYMOUS;
    dev = virtio_balloon_new(loop, &ops, NULL, NULL);
    fuzz_set_up(dev, &in);
    fuzz_drive(dev, &guest, &in, act);
    virtio_balloon_get_info(dev, &info);
    if (info.has_driver || info.actual_bytes != 0)
        abort();
    virtio_balloon_free(dev);
    fuzz_guest_fini(&guest);
    return 0;
}

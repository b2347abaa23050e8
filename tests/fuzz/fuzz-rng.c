/* SPDX-License-Identifier: MIT */
/* Fuzzes virtio-rng: what it is asked to fill. */
#include "kvm/virtio/rng.h"
#include "tests/fuzz/device-fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct event_loop *loop; /* for all inputs: making one takes long */
    struct fuzz_input in = {.data = data, .size = size};
    struct fuzz_guest guest;
    struct virtio_device *dev;

    if (loop == NULL)
        loop = event_loop_new(NULL);
    fuzz_guest_init(&guest);
    dev = virtio_rng_new(loop, NULL);
    fuzz_set_up(dev, &in);
    fuzz_drive(dev, &guest, &in, NULL);
    virtio_rng_free(dev);
    fuzz_guest_fini(&guest);
    return 0;
}

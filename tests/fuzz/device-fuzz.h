/* SPDX-License-Identifier: MIT */
/* A hostile driver for fuzzers of virtio devices: guest memory from the input, and a script. */
#ifndef TESTS_FUZZ_DEVICE_FUZZ_H
#define TESTS_FUZZ_DEVICE_FUZZ_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "kvm/virtio/device.h"

#define FUZZ_RAM_BYTES 65536u
#define FUZZ_EDGE      65536u /* on either side, and never to be touched */
#define FUZZ_STEPS     48u

struct fuzz_input {
    const uint8_t *data;
    size_t size;
};

static inline uint16_t fuzz_take16(struct fuzz_input *in)
{
    uint16_t value = 0;
    size_t n = in->size < sizeof(value) ? in->size : sizeof(value);

    memcpy(&value, in->data, n);
    in->data += n;
    in->size -= n;
    return value;
}

struct fuzz_guest {
    struct guest_memory memory;
    uint8_t *map, *ram;
};

static inline void fuzz_guest_init(struct fuzz_guest *guest)
{
    memset(guest, 0, sizeof(*guest));
    guest->map = mmap(NULL, FUZZ_RAM_BYTES + 2 * FUZZ_EDGE, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (guest->map == MAP_FAILED)
        abort();
    memset(guest->map, 0xa5, FUZZ_RAM_BYTES + 2 * FUZZ_EDGE);
    guest->ram = guest->map + FUZZ_EDGE;
    memset(guest->ram, 0, FUZZ_RAM_BYTES);
    if (guest_memory_add(&guest->memory, 0, FUZZ_RAM_BYTES, guest->ram, 0) < 0)
        abort();
}

/* What lies beside guest memory must be as it was. */
static inline void fuzz_guest_fini(struct fuzz_guest *guest)
{
    for (uint32_t i = 0; i < FUZZ_EDGE; i++)
        if (guest->map[i] != 0xa5 || guest->ram[FUZZ_RAM_BYTES + i] != 0xa5)
            abort();
    (void)munmap(guest->map, FUZZ_RAM_BYTES + 2 * FUZZ_EDGE);
}

/* Where the queues lie, sensible or not; features that the driver takes. */
static inline void fuzz_set_up(struct virtio_device *dev, struct fuzz_input *in)
{
    dev->driver_features = dev->features;
    if ((fuzz_take16(in) & 1) != 0)
        dev->driver_features &= ~(uint64_t)fuzz_take16(in);
    for (unsigned int i = 0; i < dev->queue_count; i++) {
        struct virtqueue *vq = &dev->queue[i];

        vq->size = (uint16_t)(1u << fuzz_take16(in) % 8);
        if (vq->size > vq->size_max)
            vq->size = vq->size_max;
        vq->desc_gpa = fuzz_take16(in) & ~15u;
        vq->driver_gpa = fuzz_take16(in) & ~1u;
        vq->device_gpa = fuzz_take16(in) & ~3u;
        vq->kick_fd = vq->call_fd = -1;
    }
}

/*
 * Starts the device and lets the driver do what the input says: kicks, writes to memory, resets,
 * and whatever act (may be NULL) makes of other steps. The device is stopped afterwards.
 */
static inline void fuzz_drive(struct virtio_device *dev, struct fuzz_guest *guest,
                              struct fuzz_input *in,
                              void (*act)(struct virtio_device *dev, uint16_t what, uint16_t value))
{
    struct fuzz_input script = *in;

    if (in->size > FUZZ_STEPS * 6)
        memcpy(guest->ram, in->data + FUZZ_STEPS * 6,
               in->size - FUZZ_STEPS * 6 < FUZZ_RAM_BYTES ? in->size - FUZZ_STEPS * 6
                                                          : FUZZ_RAM_BYTES);
    if (virtio_device_start(dev, &guest->memory) < 0)
        return;
    for (unsigned int i = 0; i < FUZZ_STEPS && script.size > 0; i++) {
        uint16_t what = fuzz_take16(&script), value = fuzz_take16(&script);

        switch (what % 4) {
        case 0:
            dev->ops->kick(dev, value % dev->queue_count);
            break;
        case 1: /* 16 bits of guest memory, an index for instance */
            *(uint16_t *)(void *)(guest->ram + (value & ~1u)) = fuzz_take16(&script);
            break;
        case 2:
            if (value == 0xffff)
                virtio_device_stop(dev); /* kicks may still come */
            else
                dev->ops->config_read(dev, value & 63, &value, sizeof(value));
            break;
        default:
            if (act != NULL)
                act(dev, (uint16_t)(what / 4), value);
        }
    }
    virtio_device_stop(dev);
}

#endif

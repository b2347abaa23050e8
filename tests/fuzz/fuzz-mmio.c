/* SPDX-License-Identifier: MIT */
/* Fuzzes the virtio-mmio registers: the input is memory and what a driver writes and reads. */
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>

#include "kvm/virtio/mmio.h"
#include "tests/fuzz/transport-fixture.h"

#define BASE UINT64_C(0xe0200000)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void free_transports(void *opaque)
{
    struct virtio_mmio **transport = opaque;

    for (unsigned int i = 0; i < FIXTURE_DEVICES; i++)
        virtio_mmio_free(transport[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct virtio_mmio *transport[FIXTURE_DEVICES];
    struct fixture_access access;
    struct bus bus = {0};
    struct crosh_error err = {0};

    fixture_begin(data, size);
    for (unsigned int i = 0; i < FIXTURE_DEVICES; i++) {
        transport[i] =
            virtio_mmio_new(&fixture_host, &bus, BASE + i * VIRTIO_MMIO_SIZE,
                            eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), fixture_device[i], &err);
        if (transport[i] == NULL)
            abort();
    }
    while (fixture_next(&data, &size, &access)) {
        uint64_t gpa = BASE + (access.kind % FIXTURE_DEVICES) * VIRTIO_MMIO_SIZE;

        /* Half of them are accesses to registers as drivers make them. */
        if (access.kind < 8) {
            access.size = 4;
            access.offset &= 0xfc;
        }
        gpa += access.offset % VIRTIO_MMIO_SIZE;
        if (access.is_write)
            bus_write(&bus, gpa, access.value, access.size);
        else if (access.size < 8 && bus_read(&bus, gpa, access.size) >> (8 * access.size) != 0)
            abort();
    }
    fixture_end(free_transports, transport);
    return 0;
}

/* SPDX-License-Identifier: MIT */
/* What the fuzzers of virtio transports share: devices, memory, and a hypervisor that keeps count.
 */
#ifndef TESTS_FUZZ_TRANSPORT_FIXTURE_H
#define TESTS_FUZZ_TRANSPORT_FIXTURE_H

#include "kvm/virtio/transport.h"

#define FIXTURE_RAM     65536u
#define FIXTURE_DEVICES 2

/* One access of a vcpu, taken off the front of the input. */
struct fixture_access {
    uint8_t kind;
    bool is_write;
    unsigned int size; /* 1, 2, 4 or 8 */
    uint32_t offset;
    uint64_t value;
};

/* False when the input is used up. */
bool fixture_next(const uint8_t **data, size_t *size, struct fixture_access *access);

/*
 * Devices (a random source and a console) on a loop that runs on a thread of its own,
 * so that the caller is a vcpu thread. The hypervisor aborts when a line is detached
 * that was not attached, or attached twice.
 */
extern struct virtio_device *fixture_device[FIXTURE_DEVICES];
extern struct virtio_host fixture_host;

/* Makes the devices anew; memory begins with the given bytes. */
void fixture_begin(const uint8_t *data, size_t size);
/* Calls free_transports on the loop's thread, frees the devices; aborts if anything is attached. */
void fixture_end(void (*free_transports)(void *opaque), void *opaque);

#endif

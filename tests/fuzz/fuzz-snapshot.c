/* SPDX-License-Identifier: MIT */
/*
 * Fuzzes snapshots: a state file of anybody's making, and devices that are brought
 * into the states it holds. Whatever they accept they must be able to save again.
 */
#include <stdint.h>
#include <unistd.h>

#include "kvm/hw/serial.h"
#include "kvm/virtio/balloon.h"
#include "kvm/virtio/button.h"
#include "kvm/virtio/console.h"
#include "kvm/virtio/rng.h"
#include "kvm/virtio/vsock.h"
#include "tests/unit/state-place.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { DEVICES = 5 };

static void on_something(void *opaque)
{
    (void)opaque;
}

static void no_output(void *opaque, const void *data, size_t size)
{
    (void)opaque, (void)data, (void)size;
}

static void no_byte(void *opaque, uint8_t byte)
{
    (void)opaque, (void)byte;
}

static void save_again(struct virtio_device *dev)
{
    Snapshot__Virtio *state = SNAPSHOT_NEW(Snapshot__Virtio, snapshot__virtio__init);
    struct crosh_error err = {0};

    if (state == NULL)
        return;
    virtio_device_hold(dev, -1);
    if (virtio_transport_save(dev->transport, state, &err) < 0)
        abort();
    if (state->is_started != dev->started || state->n_queues != dev->queue_count)
        abort();
    virtio_device_release(dev);
    snapshot__virtio__free_unpacked(state, NULL);
}

static void restore_devices(const Snapshot__Machine *machine)
{
    static const struct virtio_balloon_ops balloon = {.stats = on_something,
                                                      .changed = on_something};
    struct place place = {0};
    struct vsock_config vsock = {.guest_cid = 3};
    struct crosh_error err = {0};
    struct virtio_device *dev[DEVICES];
    struct virtio_pci *transport[DEVICES];

    place_init(&place);
    /* Rings full of something. */
    for (unsigned int i = 0; i < PLACE_RAM; i++)
        place.ram[i] = machine->id.data[i % machine->id.len];
    dev[0] = virtio_rng_new(place.loop, &err);
    dev[1] = virtio_console_new(place.loop, no_output, NULL, &err);
    dev[2] = vsock_new(place.loop, &vsock, &err);
    dev[3] = virtio_balloon_new(place.loop, &balloon, NULL, &err);
    dev[4] = virtio_button_new(place.loop, &err);
    for (int i = 0; i < DEVICES; i++)
        transport[i] = place_plug(&place, dev[i]);
    for (size_t i = 0; i < machine->n_devices && i < DEVICES; i++)
        if (virtio_transport_restore(dev[i]->transport, machine->devices[i], &err) == 0)
            save_again(dev[i]);
    for (int i = 0; i < DEVICES; i++)
        virtio_pci_free(transport[i]);
    virtio_rng_free(dev[0]);
    virtio_console_free(dev[1]);
    vsock_free(dev[2]);
    virtio_balloon_free(dev[3]);
    virtio_button_free(dev[4]);
    place_fini(&place);
}

static void restore_serial(const Snapshot__Serial *state)
{
    struct serial serial;
    Snapshot__Serial *again;

    serial_init(&serial, -1, no_byte, NULL);
    serial_restore(&serial, state);
    again = serial_save(&serial);
    if (again != NULL)
        snapshot__serial__free_unpacked(again, NULL);
    serial_fini(&serial);
}

/* Whole files first; then the same bytes as the contents of one whose header is right. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Snapshot__Machine *machine = NULL, *again = NULL;
    struct crosh_error err = {0};
    uint8_t *file = NULL;
    size_t file_size;

    if (snapshot_decode(data, size, &machine, &err) < 0) {
        machine = snapshot__machine__unpack(NULL, size, data);
        if (machine == NULL)
            return 0;
    }
    if (snapshot_encode(machine, &file, &file_size, &err) == 0 &&
        snapshot_decode(file, file_size, &again, &err) == 0) {
        restore_serial(again->serial);
        restore_devices(again);
        snapshot__machine__free_unpacked(again, NULL);
    }
    free(file);
    snapshot__machine__free_unpacked(machine, NULL);
    return 0;
}

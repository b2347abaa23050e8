/* SPDX-License-Identifier: MIT */
/* Fuzzes PCI's configuration space and the virtio-pci BARs, wherever the input moves them. */
#include <stdint.h>
#include <stdlib.h>

#include "kvm/hw/bus.h"
#include "kvm/hw/pci.h"
#include "kvm/virtio/pci.h"
#include "tests/fuzz/transport-fixture.h"

#define WINDOW      UINT64_C(0xc0000000)
#define WINDOW_SIZE UINT64_C(0x20000000)
#define ECAM        UINT64_C(0xe0000000)
#define ECAM_SIZE   UINT64_C(0x100000)
#define BAR_SIZE    0x8000u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void free_transports(void *opaque)
{
    struct virtio_pci **transport = opaque;

    for (unsigned int i = 0; i < FIXTURE_DEVICES; i++)
        virtio_pci_free(transport[i]);
}

/* Where an access goes: to configuration space, to a BAR where firmware put it, or anywhere. */
static uint64_t place(const struct fixture_access *access)
{
    uint64_t device = access->kind % FIXTURE_DEVICES;

    if (access->kind < 6)
        return ECAM + (device + 1) * 0x8000 + access->offset % 0x1000;
    if (access->kind < 12)
        return WINDOW + device * BAR_SIZE + access->offset % BAR_SIZE;
    if (access->kind == 12)
        return ECAM + access->offset % ECAM_SIZE;
    return WINDOW + (uint64_t)access->offset * 32 % WINDOW_SIZE;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct virtio_pci *transport[FIXTURE_DEVICES];
    struct fixture_access access;
    struct bus mmio = {0}, ports = {0};
    struct crosh_error err = {0};
    static struct pci_bus bus;

    fixture_begin(data, size);
    pci_bus_init(&bus, (uint32_t)WINDOW, (uint32_t)WINDOW_SIZE);
    if (bus_add(&mmio, ECAM, ECAM_SIZE, &pci_ecam_bus_ops, &bus) < 0 ||
        bus_add(&mmio, WINDOW, WINDOW_SIZE, &pci_window_bus_ops, &bus) < 0 ||
        bus_add(&ports, PCI_CONFIG_PORT, PCI_CONFIG_PORTS, &pci_port_bus_ops, &bus) < 0)
        abort();
    for (unsigned int i = 0; i < FIXTURE_DEVICES; i++) {
        transport[i] = virtio_pci_new(&fixture_host, &bus, fixture_device[i], &err);
        if (transport[i] == NULL)
            abort();
    }
    while (fixture_next(&data, &size, &access)) {
        bool is_port = access.kind >= 14;
        const struct bus *space = is_port ? &ports : &mmio;
        uint64_t at = is_port ? PCI_CONFIG_PORT + access.offset % PCI_CONFIG_PORTS : place(&access);

        if (access.is_write)
            bus_write(space, at, access.value, access.size);
        else if (access.size < 8 && bus_read(space, at, access.size) >> (8 * access.size) != 0)
            abort();
    }
    fixture_end(free_transports, transport);
    pci_bus_fini(&bus);
    return 0;
}

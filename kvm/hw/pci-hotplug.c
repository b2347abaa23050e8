/* SPDX-License-Identifier: MIT */
/* Implements the hot-plug registers. */
#include "kvm/hw/pci-hotplug.h"

static uint64_t hotplug_read(void *opaque, uint64_t offset, unsigned int size)
{
    struct pci_hotplug *hotplug = opaque;

    (void)size;
    switch (PCI_HOTPLUG_PORT_BASE + offset) {
    case PCI_HOTPLUG_PORT_ADDED:
        return atomic_exchange(&hotplug->added, 0);
    case PCI_HOTPLUG_PORT_WANTED:
        return atomic_exchange(&hotplug->wanted, 0);
    default:
        return 0;
    }
}

static void hotplug_write(void *opaque, uint64_t offset, uint64_t value, unsigned int size)
{
    struct pci_hotplug *hotplug = opaque;

    (void)size;
    if (PCI_HOTPLUG_PORT_BASE + offset != PCI_HOTPLUG_PORT_EJECT)
        return;
    for (unsigned int i = 0; i < PCI_HOTPLUG_SLOTS; i++) {
        struct pci_device *device;

        if ((value >> i & 1) == 0)
            continue;
        device = pci_bus_unplug(hotplug->bus, PCI_HOTPLUG_FIRST + i);
        if (device != NULL)
            hotplug->ejected(hotplug->opaque, device);
    }
}

const struct bus_ops pci_hotplug_bus_ops = {.read = hotplug_read, .write = hotplug_write};

void pci_hotplug_add(struct pci_hotplug *hotplug, unsigned int slot)
{
    atomic_fetch_or(&hotplug->added, 1u << (slot - PCI_HOTPLUG_FIRST));
}

void pci_hotplug_want(struct pci_hotplug *hotplug, unsigned int slot)
{
    atomic_fetch_or(&hotplug->wanted, 1u << (slot - PCI_HOTPLUG_FIRST));
}

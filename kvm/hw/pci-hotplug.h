/* SPDX-License-Identifier: MIT */
/* The registers by which a guest learns of PCI devices that come and go (used from the DSDT). */
#ifndef KVM_HW_PCI_HOTPLUG_H
#define KVM_HW_PCI_HOTPLUG_H

#include <stdatomic.h>
#include <stdint.h>

#include "kvm/hw/bus.h"
#include "kvm/hw/pci.h"

/*
 * Ports of one byte, a bit for each of the slots from PCI_HOTPLUG_FIRST on. The first two
 * clear themselves when they are read: the guest's interpreter turns each bit into a
 * notification of that slot's device.
 */
#define PCI_HOTPLUG_PORT_BASE   0x610
#define PCI_HOTPLUG_PORTS       4
#define PCI_HOTPLUG_PORT_ADDED  (PCI_HOTPLUG_PORT_BASE + 0) /* devices that came */
#define PCI_HOTPLUG_PORT_WANTED (PCI_HOTPLUG_PORT_BASE + 1) /* devices that are asked back */
#define PCI_HOTPLUG_PORT_EJECT  (PCI_HOTPLUG_PORT_BASE + 2) /* written: they may be taken */

struct pci_hotplug {
    struct pci_bus *bus;
    atomic_uint added, wanted;
    /* A device was taken off the bus; called on the vcpu's thread. */
    void (*ejected)(void *opaque, struct pci_device *device);
    void *opaque;
};

extern const struct bus_ops pci_hotplug_bus_ops; /* opaque: struct pci_hotplug */

/* Notes that the guest shall look at a slot, or give it back; who does tells the guest of it
   (POWER_EVENT_HOTPLUG). From any thread. */
void pci_hotplug_add(struct pci_hotplug *hotplug, unsigned int slot);
void pci_hotplug_want(struct pci_hotplug *hotplug, unsigned int slot);

#endif

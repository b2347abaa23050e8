/* SPDX-License-Identifier: MIT */
/* The virtio-pci transport (virtio 1.2 section 4.1), modern only, with MSI-X. */
#ifndef KVM_VIRTIO_PCI_H
#define KVM_VIRTIO_PCI_H

#include "kvm/hw/pci.h"
#include "kvm/virtio/transport.h"

struct virtio_pci;

/* Puts dev on the bus. NULL with err filled. */
struct virtio_pci *virtio_pci_new(const struct virtio_host *host, struct pci_bus *bus,
                                  struct virtio_device *dev, struct crosh_error *err);
/* The same while the guest runs, in a slot for hot-plugging; slot: as pci_bus_plug()'s. */
struct virtio_pci *virtio_pci_plug(const struct virtio_host *host, struct pci_bus *bus,
                                   unsigned int slot, struct virtio_device *dev,
                                   struct crosh_error *err);
/* What of it is on the bus. */
struct pci_device *virtio_pci_device(struct virtio_pci *transport);
/*
 * Stops the device and frees the transport (accepts NULL); on the loop's thread,
 * when no vcpu runs any more. dev itself stays.
 */
void virtio_pci_free(struct virtio_pci *transport);

#endif

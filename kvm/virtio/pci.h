/* SPDX-License-Identifier: MIT */
/* The virtio-pci transport (virtio 1.2 section 4.1), modern only, with MSI-X. */
#ifndef KVM_VIRTIO_PCI_H
#define KVM_VIRTIO_PCI_H

#include "kvm/hw/pci.h"
#include "kvm/hw/vm-ops.h"
#include "kvm/loop-call.h"
#include "kvm/virtio/device.h"

struct virtio_pci;

/* What all transports of a machine share. */
struct virtio_pci_host {
    struct pci_bus *bus;
    const struct vm_ops *ops;
    void *vm;
    const struct guest_memory *memory;
    struct loop_call *calls;
};

/* Puts dev on the bus. NULL with err filled. */
struct virtio_pci *virtio_pci_new(const struct virtio_pci_host *host, struct virtio_device *dev,
                                  struct crosh_error *err);
/*
 * Stops the device and frees the transport (accepts NULL); on the loop's thread,
 * when no vcpu runs any more. dev itself stays.
 */
void virtio_pci_free(struct virtio_pci *transport);

#endif

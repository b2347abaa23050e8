/* SPDX-License-Identifier: MIT */
/* The virtio-pci transport's inside: what its registers and its place on the bus share. */
#ifndef KVM_VIRTIO_PCI_INTERNAL_H
#define KVM_VIRTIO_PCI_INTERNAL_H

#include <stdatomic.h>
#include <stdint.h>

#include "kvm/hw/msix.h"
#include "kvm/virtio/pci.h"

/* Locks are taken in the order PCI bus, transport, MSI-X. */

struct virtio_pci {
    struct pci_device pci; /* first */
    struct virtio_transport transport;
    struct pci_bus *bus;
    uint16_t queue_vector[VIRTIO_DEVICE_MAX_QUEUES];
    atomic_uint config_vector;
    uint64_t doorbell_gpa; /* where the kick_fds are registered; 0: nowhere. PCI bus lock */

    struct msix msix;
    unsigned int msix_capability, window_capability; /* where they are in config */
};

/* Size of the common configuration: up to queue_device. The fields behind it need features that
   we do not offer. */
#define VIRTIO_PCI_COMMON_SIZE 0x38

/* pci-common.c: the common configuration; offset + size inside it, the transport's lock held. */
uint64_t virtio_pci_common_read(struct virtio_pci *t, uint64_t offset, unsigned int size);
void virtio_pci_common_write(struct virtio_pci *t, uint64_t offset, uint64_t value,
                             unsigned int size);
extern const struct virtio_transport_ops virtio_pci_transport_ops;

/* pci-state.c: the transport's own part of a snapshot (struct virtio_transport_ops). */
int virtio_pci_save(struct virtio_transport *transport, Snapshot__Virtio *state,
                    struct crosh_error *err);
int virtio_pci_restore(struct virtio_transport *transport, const Snapshot__Virtio *state,
                       struct crosh_error *err);

#endif

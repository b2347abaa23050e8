/* SPDX-License-Identifier: MIT */
/* The virtio-pci transport's inside: what its registers and its place on the bus share. */
#ifndef KVM_VIRTIO_PCI_INTERNAL_H
#define KVM_VIRTIO_PCI_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "kvm/hw/msix.h"
#include "kvm/virtio/pci.h"

/*
 * Theory of operation
 *
 * The driver's accesses come from vcpu threads. driver_lock serialises them; it may
 * be held for long, as DRIVER_OK and reset wait for the loop's thread to start
 * and stop the device. So the loop's thread never takes it: what that thread has
 * to tell (a changed configuration) goes through atomics and eventfds. Locks are
 * taken in the order PCI bus, driver_lock, MSI-X.
 */

struct virtio_pci {
    struct pci_device pci; /* first */
    struct virtio_pci_host host;
    struct virtio_device *dev;

    pthread_mutex_t driver_lock;
    uint32_t device_feature_select, driver_feature_select;
    uint64_t driver_features;
    uint16_t queue_select;
    uint8_t status;
    bool queue_enabled[VIRTIO_DEVICE_MAX_QUEUES];
    uint16_t queue_vector[VIRTIO_DEVICE_MAX_QUEUES];
    int start_result; /* of the last start on the loop's thread */
    int kick_fd[VIRTIO_DEVICE_MAX_QUEUES];
    uint64_t doorbell_gpa; /* where the kick_fds are registered; 0: nowhere. PCI bus lock */

    atomic_uint isr;
    atomic_uint config_vector;
    atomic_uchar config_generation;

    struct msix msix;
    unsigned int msix_capability, window_capability; /* where they are in config */
};

/* Size of the common configuration: up to queue_device. The fields behind it need features that
   we do not offer. */
#define VIRTIO_PCI_COMMON_SIZE 0x38

/* pci-common.c: the common configuration; offset + size inside it, driver_lock held. */
uint64_t virtio_pci_common_read(struct virtio_pci *t, uint64_t offset, unsigned int size);
void virtio_pci_common_write(struct virtio_pci *t, uint64_t offset, uint64_t value,
                             unsigned int size);
/* Brings everything the driver can change to its state at power-on; the device is stopped. */
void virtio_pci_reset_registers(struct virtio_pci *t);
/* Tells the driver that the device's configuration changed. From any thread. */
void virtio_pci_config_changed(struct virtio_device *dev);

#endif

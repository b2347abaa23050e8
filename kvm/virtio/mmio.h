/* SPDX-License-Identifier: MIT */
/* The virtio-mmio transport (virtio 1.2 section 4.2), modern only (version 2). */
#ifndef KVM_VIRTIO_MMIO_H
#define KVM_VIRTIO_MMIO_H

#include "kvm/hw/bus.h"
#include "kvm/virtio/transport.h"

/* Bytes of one device's registers and configuration. */
#define VIRTIO_MMIO_SIZE 0x1000u

struct virtio_mmio;

/*
 * Gives dev its registers at gpa, on bus, which no vcpu uses yet. irq_fd is an eventfd
 * that raises the device's interrupt line, edge-triggered; it becomes the transport's,
 * also on failure. NULL with err filled.
 */
struct virtio_mmio *virtio_mmio_new(const struct virtio_host *host, struct bus *bus, uint64_t gpa,
                                    int irq_fd, struct virtio_device *dev, struct crosh_error *err);
/*
 * Stops the device and frees the transport (accepts NULL); on the loop's thread,
 * when no vcpu runs any more. dev itself stays.
 */
void virtio_mmio_free(struct virtio_mmio *transport);

/* What answers on the bus; opaque: struct virtio_mmio. */
extern const struct bus_ops virtio_mmio_bus_ops;

#endif

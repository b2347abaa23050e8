/* SPDX-License-Identifier: MIT */
/* virtio-pci's common configuration (virtio 1.2 section 4.1.4.3): where each register lies. */
#include <linux/virtio_pci.h>
#include <stddef.h>

#include "kvm/virtio/pci-internal.h"

static struct virtio_pci *from_transport(struct virtio_transport *transport)
{
    return (struct virtio_pci *)(void *)((char *)transport -
                                         offsetof(struct virtio_pci, transport));
}

/* ---- Interrupts: each source has the vector that the driver gave it ---- */

static int queue_call_fd(struct virtio_transport *transport, unsigned int queue)
{
    struct virtio_pci *t = from_transport(transport);

    return msix_vector_fd(&t->msix, t->queue_vector[queue]);
}

static int config_call_fd(struct virtio_transport *transport)
{
    struct virtio_pci *t = from_transport(transport);

    return msix_vector_fd(&t->msix, atomic_load(&t->config_vector));
}

static void reset(struct virtio_transport *transport)
{
    struct virtio_pci *t = from_transport(transport);

    atomic_store(&t->config_vector, VIRTIO_MSI_NO_VECTOR);
    for (unsigned int i = 0; i < VIRTIO_DEVICE_MAX_QUEUES; i++)
        t->queue_vector[i] = VIRTIO_MSI_NO_VECTOR;
}

const struct virtio_transport_ops virtio_pci_transport_ops = {
    .queue_call_fd = queue_call_fd,
    .config_call_fd = config_call_fd,
    .reset = reset,
    .save = virtio_pci_save,
    .restore = virtio_pci_restore,
};

/* ---- The registers; all with the transport's lock held ---- */

static uint16_t checked_vector(const struct virtio_pci *t, uint64_t value)
{
    return value < t->msix.count ? (uint16_t)value : VIRTIO_MSI_NO_VECTOR;
}

static unsigned int field_size(uint64_t offset)
{
    switch (offset) {
    case VIRTIO_PCI_COMMON_STATUS:
    case VIRTIO_PCI_COMMON_CFGGENERATION:
        return 1;
    case VIRTIO_PCI_COMMON_MSIX:
    case VIRTIO_PCI_COMMON_NUMQ:
    case VIRTIO_PCI_COMMON_Q_SELECT:
    case VIRTIO_PCI_COMMON_Q_SIZE:
    case VIRTIO_PCI_COMMON_Q_MSIX:
    case VIRTIO_PCI_COMMON_Q_ENABLE:
    case VIRTIO_PCI_COMMON_Q_NOFF:
        return 2;
    default:
        return 4;
    }
}

/* Which address of a queue, and which half of it, an offset from Q_DESCLO on means. */
static enum virtio_queue_part part_at(uint64_t offset)
{
    return (enum virtio_queue_part)((offset - VIRTIO_PCI_COMMON_Q_DESCLO) / 8);
}

static bool is_high_half(uint64_t offset)
{
    return (offset - VIRTIO_PCI_COMMON_Q_DESCLO) % 8 == 4;
}

/* The driver must access each field at its width (4.1.3.1); 64-bit ones may come in halves. */
void virtio_pci_common_write(struct virtio_pci *t, uint64_t offset, uint64_t value,
                             unsigned int size)
{
    struct virtio_transport *transport = &t->transport;

    if (size == 8 && offset % 8 == 0 && offset >= VIRTIO_PCI_COMMON_Q_DESCLO) {
        virtio_pci_common_write(t, offset, value & UINT32_MAX, 4);
        virtio_pci_common_write(t, offset + 4, value >> 32, 4);
        return;
    }
    if (size != field_size(offset))
        return;
    switch (offset) {
    case VIRTIO_PCI_COMMON_DFSELECT:
        transport->device_feature_select = (uint32_t)value;
        break;
    case VIRTIO_PCI_COMMON_GFSELECT:
        transport->driver_feature_select = (uint32_t)value;
        break;
    case VIRTIO_PCI_COMMON_GF:
        virtio_transport_set_driver_features(transport, (uint32_t)value);
        break;
    case VIRTIO_PCI_COMMON_MSIX:
        atomic_store(&t->config_vector, checked_vector(t, value));
        break;
    case VIRTIO_PCI_COMMON_STATUS:
        virtio_transport_set_status(transport, (uint8_t)value);
        break;
    case VIRTIO_PCI_COMMON_Q_SELECT:
        transport->queue_select = (uint16_t)value;
        break;
    case VIRTIO_PCI_COMMON_Q_SIZE:
        virtio_transport_set_queue_size(transport, (uint16_t)value);
        break;
    case VIRTIO_PCI_COMMON_Q_MSIX:
        if (virtio_transport_writable_queue(transport) != NULL)
            t->queue_vector[transport->queue_select] = checked_vector(t, value);
        break;
    case VIRTIO_PCI_COMMON_Q_ENABLE:
        if (value == 1)
            virtio_transport_enable_queue(transport, true);
        break;
    case VIRTIO_PCI_COMMON_Q_DESCLO:
    case VIRTIO_PCI_COMMON_Q_DESCHI:
    case VIRTIO_PCI_COMMON_Q_AVAILLO:
    case VIRTIO_PCI_COMMON_Q_AVAILHI:
    case VIRTIO_PCI_COMMON_Q_USEDLO:
    case VIRTIO_PCI_COMMON_Q_USEDHI:
        virtio_transport_set_queue_address(transport, part_at(offset), is_high_half(offset),
                                           (uint32_t)value);
        break;
    }
}

static uint64_t read_queue(struct virtio_pci *t, uint64_t offset)
{
    const struct virtio_transport *transport = &t->transport;
    const struct virtqueue *vq = virtio_transport_queue(transport);

    if (vq == NULL)
        return offset == VIRTIO_PCI_COMMON_Q_MSIX ? VIRTIO_MSI_NO_VECTOR : 0;
    switch (offset) {
    case VIRTIO_PCI_COMMON_Q_SIZE:
        return vq->size;
    case VIRTIO_PCI_COMMON_Q_MSIX:
        return t->queue_vector[transport->queue_select];
    case VIRTIO_PCI_COMMON_Q_ENABLE:
        return virtio_transport_queue_enabled(transport);
    case VIRTIO_PCI_COMMON_Q_NOFF:
        return transport->queue_select;
    case VIRTIO_PCI_COMMON_Q_DESCLO:
    case VIRTIO_PCI_COMMON_Q_DESCHI:
    case VIRTIO_PCI_COMMON_Q_AVAILLO:
    case VIRTIO_PCI_COMMON_Q_AVAILHI:
    case VIRTIO_PCI_COMMON_Q_USEDLO:
    case VIRTIO_PCI_COMMON_Q_USEDHI:
        return virtio_transport_queue_address(transport, part_at(offset), is_high_half(offset));
    default:
        return 0;
    }
}

uint64_t virtio_pci_common_read(struct virtio_pci *t, uint64_t offset, unsigned int size)
{
    const struct virtio_transport *transport = &t->transport;

    if (size != field_size(offset))
        return UINT64_MAX;
    switch (offset) {
    case VIRTIO_PCI_COMMON_DFSELECT:
        return transport->device_feature_select;
    case VIRTIO_PCI_COMMON_DF:
        return virtio_transport_device_features(transport);
    case VIRTIO_PCI_COMMON_GFSELECT:
        return transport->driver_feature_select;
    case VIRTIO_PCI_COMMON_GF:
        return virtio_transport_driver_features(transport);
    case VIRTIO_PCI_COMMON_MSIX:
        return atomic_load(&t->config_vector);
    case VIRTIO_PCI_COMMON_NUMQ:
        return transport->dev->queue_count;
    case VIRTIO_PCI_COMMON_STATUS:
        return virtio_transport_status(transport);
    case VIRTIO_PCI_COMMON_CFGGENERATION:
        return atomic_load(&transport->config_generation);
    case VIRTIO_PCI_COMMON_Q_SELECT:
        return transport->queue_select;
    default:
        return read_queue(t, offset);
    }
}

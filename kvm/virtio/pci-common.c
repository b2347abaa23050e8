/* SPDX-License-Identifier: MIT */
/* virtio-pci's common configuration (virtio 1.2 section 4.1.4.3): features, status, queues. */
#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>
#include <sys/eventfd.h>

#include "kvm/virtio/pci-internal.h"

enum {
    ISR_CONFIG = 2,
};

static void drain(int fd)
{
    eventfd_t count;

    (void)eventfd_read(fd, &count);
}

/* ---- The device's way to the driver ---- */

void virtio_pci_config_changed(struct virtio_device *dev)
{
    struct virtio_pci *t = dev->transport;
    unsigned int vector = atomic_load(&t->config_vector);

    atomic_fetch_add(&t->config_generation, 1);
    atomic_fetch_or(&t->isr, ISR_CONFIG);
    if (vector < t->msix.count)
        (void)eventfd_write(msix_vector_fd(&t->msix, vector), 1);
}

static void start_on_loop(void *opaque)
{
    struct virtio_pci *t = opaque;

    t->start_result = virtio_device_start(t->dev, t->host.memory);
}

static void stop_on_loop(void *opaque)
{
    struct virtio_pci *t = opaque;

    virtio_device_stop(t->dev);
}

/* ---- Common configuration (4.1.4.3); all with driver_lock held ---- */

static struct virtqueue *selected_queue(struct virtio_pci *t)
{
    return t->queue_select < t->dev->queue_count ? &t->dev->queue[t->queue_select] : NULL;
}

/* A queue's set-up may change until it is enabled, and is frozen from then to the reset. */
static struct virtqueue *writable_queue(struct virtio_pci *t)
{
    struct virtqueue *vq = selected_queue(t);

    if (vq == NULL || t->queue_enabled[t->queue_select] ||
        (t->status & VIRTIO_CONFIG_S_DRIVER_OK) != 0)
        return NULL;
    return vq;
}

void virtio_pci_reset_registers(struct virtio_pci *t)
{
    t->device_feature_select = t->driver_feature_select = 0;
    t->driver_features = 0;
    t->queue_select = 0;
    t->status = 0;
    atomic_store(&t->isr, 0);
    atomic_store(&t->config_vector, VIRTIO_MSI_NO_VECTOR);
    t->dev->driver_features = 0;
    for (unsigned int i = 0; i < t->dev->queue_count; i++) {
        struct virtqueue *vq = &t->dev->queue[i];

        vq->size = vq->size_max;
        vq->desc_gpa = vq->driver_gpa = vq->device_gpa = 0;
        vq->call_fd = -1;
        t->queue_enabled[i] = false;
        t->queue_vector[i] = VIRTIO_MSI_NO_VECTOR;
        drain(t->kick_fd[i]);
    }
}

/* The driver says that it is ready: queues that it did not enable are not to be used. */
static void start(struct virtio_pci *t)
{
    t->dev->driver_features = t->driver_features;
    for (unsigned int i = 0; i < t->dev->queue_count; i++) {
        struct virtqueue *vq = &t->dev->queue[i];

        vq->kick_fd = t->kick_fd[i];
        vq->call_fd = msix_vector_fd(&t->msix, t->queue_vector[i]);
        if (!t->queue_enabled[i])
            vq->size = 0;
    }
    t->start_result = -ESHUTDOWN;
    (void)loop_call_run(t->host.calls, start_on_loop, t);
    if (t->start_result < 0) {
        t->status |= VIRTIO_CONFIG_S_NEEDS_RESET;
        virtio_pci_config_changed(t->dev);
    }
}

static void write_status(struct virtio_pci *t, uint8_t status)
{
    uint8_t added = status & (uint8_t)~t->status;

    if (status == 0) {
        /* Unless calls are closed: then the VM is at its end, and so is the driver. */
        if (!loop_call_run(t->host.calls, stop_on_loop, t))
            return;
        virtio_pci_reset_registers(t);
        return;
    }
    /* Bits are only ever added (2.1.1); the driver cannot take back DEVICE_NEEDS_RESET. */
    t->status |= status & (uint8_t)~VIRTIO_CONFIG_S_NEEDS_RESET;
    if ((added & VIRTIO_CONFIG_S_FEATURES_OK) != 0 &&
        ((t->driver_features & ~t->dev->features) != 0 ||
         (t->driver_features >> VIRTIO_F_VERSION_1 & 1) == 0))
        t->status &= (uint8_t)~VIRTIO_CONFIG_S_FEATURES_OK;
    if ((added & VIRTIO_CONFIG_S_DRIVER_OK) != 0) {
        if ((t->status & VIRTIO_CONFIG_S_FEATURES_OK) != 0)
            start(t);
        else
            t->status |= VIRTIO_CONFIG_S_NEEDS_RESET;
    }
}

static void write_driver_features(struct virtio_pci *t, uint32_t value)
{
    unsigned int shift = 32 * t->driver_feature_select;

    if (shift > 32 || (t->status & VIRTIO_CONFIG_S_FEATURES_OK) != 0)
        return;
    t->driver_features = (t->driver_features & ~(UINT64_C(0xffffffff) << shift)) | (uint64_t)value
                                                                                       << shift;
}

static uint16_t checked_vector(const struct virtio_pci *t, uint64_t value)
{
    return value < t->msix.count ? (uint16_t)value : VIRTIO_MSI_NO_VECTOR;
}

static void set_half(uint64_t *address, bool is_high, uint32_t value)
{
    if (is_high)
        *address = (*address & 0xffffffff) | (uint64_t)value << 32;
    else
        *address = (*address & ~UINT64_C(0xffffffff)) | value;
}

/* A field of the selected queue. */
static void write_queue(struct virtio_pci *t, uint64_t offset, uint64_t value)
{
    struct virtqueue *vq = writable_queue(t);

    if (vq == NULL)
        return;
    switch (offset) {
    case VIRTIO_PCI_COMMON_Q_SIZE:
        /* A size that is no power of two or too large is refused at the start. */
        vq->size = (uint16_t)value;
        break;
    case VIRTIO_PCI_COMMON_Q_MSIX:
        t->queue_vector[t->queue_select] = checked_vector(t, value);
        break;
    case VIRTIO_PCI_COMMON_Q_ENABLE:
        t->queue_enabled[t->queue_select] = value == 1;
        break;
    case VIRTIO_PCI_COMMON_Q_DESCLO:
    case VIRTIO_PCI_COMMON_Q_DESCHI:
        set_half(&vq->desc_gpa, offset == VIRTIO_PCI_COMMON_Q_DESCHI, (uint32_t)value);
        break;
    case VIRTIO_PCI_COMMON_Q_AVAILLO:
    case VIRTIO_PCI_COMMON_Q_AVAILHI:
        set_half(&vq->driver_gpa, offset == VIRTIO_PCI_COMMON_Q_AVAILHI, (uint32_t)value);
        break;
    case VIRTIO_PCI_COMMON_Q_USEDLO:
    case VIRTIO_PCI_COMMON_Q_USEDHI:
        set_half(&vq->device_gpa, offset == VIRTIO_PCI_COMMON_Q_USEDHI, (uint32_t)value);
        break;
    }
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

/* The driver must access each field at its width (4.1.3.1); 64-bit ones may come in halves. */
void virtio_pci_common_write(struct virtio_pci *t, uint64_t offset, uint64_t value,
                             unsigned int size)
{
    if (size == 8 && offset % 8 == 0 && offset >= VIRTIO_PCI_COMMON_Q_DESCLO) {
        write_queue(t, offset, value & 0xffffffff);
        write_queue(t, offset + 4, value >> 32);
        return;
    }
    if (size != field_size(offset))
        return;
    switch (offset) {
    case VIRTIO_PCI_COMMON_DFSELECT:
        t->device_feature_select = (uint32_t)value;
        break;
    case VIRTIO_PCI_COMMON_GFSELECT:
        t->driver_feature_select = value <= 1 ? (uint32_t)value : 2;
        break;
    case VIRTIO_PCI_COMMON_GF:
        write_driver_features(t, (uint32_t)value);
        break;
    case VIRTIO_PCI_COMMON_MSIX:
        atomic_store(&t->config_vector, checked_vector(t, value));
        break;
    case VIRTIO_PCI_COMMON_STATUS:
        write_status(t, (uint8_t)value);
        break;
    case VIRTIO_PCI_COMMON_Q_SELECT:
        t->queue_select = (uint16_t)value;
        break;
    default:
        write_queue(t, offset, value);
        break;
    }
}

static uint64_t read_queue(struct virtio_pci *t, uint64_t offset)
{
    const struct virtqueue *vq = selected_queue(t);

    if (vq == NULL)
        return offset == VIRTIO_PCI_COMMON_Q_MSIX ? VIRTIO_MSI_NO_VECTOR : 0;
    switch (offset) {
    case VIRTIO_PCI_COMMON_Q_SIZE:
        return vq->size;
    case VIRTIO_PCI_COMMON_Q_MSIX:
        return t->queue_vector[t->queue_select];
    case VIRTIO_PCI_COMMON_Q_ENABLE:
        return t->queue_enabled[t->queue_select];
    case VIRTIO_PCI_COMMON_Q_NOFF:
        return t->queue_select;
    case VIRTIO_PCI_COMMON_Q_DESCLO:
    case VIRTIO_PCI_COMMON_Q_DESCHI:
        return vq->desc_gpa >> (offset == VIRTIO_PCI_COMMON_Q_DESCHI ? 32 : 0);
    case VIRTIO_PCI_COMMON_Q_AVAILLO:
    case VIRTIO_PCI_COMMON_Q_AVAILHI:
        return vq->driver_gpa >> (offset == VIRTIO_PCI_COMMON_Q_AVAILHI ? 32 : 0);
    case VIRTIO_PCI_COMMON_Q_USEDLO:
    case VIRTIO_PCI_COMMON_Q_USEDHI:
        return vq->device_gpa >> (offset == VIRTIO_PCI_COMMON_Q_USEDHI ? 32 : 0);
    default:
        return 0;
    }
}

uint64_t virtio_pci_common_read(struct virtio_pci *t, uint64_t offset, unsigned int size)
{
    if (size != field_size(offset))
        return UINT64_MAX;
    switch (offset) {
    case VIRTIO_PCI_COMMON_DFSELECT:
        return t->device_feature_select;
    case VIRTIO_PCI_COMMON_DF:
        return t->device_feature_select <= 1 ? t->dev->features >> (32 * t->device_feature_select)
                                             : 0;
    case VIRTIO_PCI_COMMON_GFSELECT:
        return t->driver_feature_select;
    case VIRTIO_PCI_COMMON_GF:
        return t->driver_feature_select <= 1 ? t->driver_features >> (32 * t->driver_feature_select)
                                             : 0;
    case VIRTIO_PCI_COMMON_MSIX:
        return atomic_load(&t->config_vector);
    case VIRTIO_PCI_COMMON_NUMQ:
        return t->dev->queue_count;
    case VIRTIO_PCI_COMMON_STATUS:
        return t->status;
    case VIRTIO_PCI_COMMON_CFGGENERATION:
        return atomic_load(&t->config_generation);
    case VIRTIO_PCI_COMMON_Q_SELECT:
        return t->queue_select;
    default:
        return read_queue(t, offset);
    }
}

/* SPDX-License-Identifier: MIT */
/* Implements the virtio-mmio transport: registers, doorbells, one interrupt line. */

/*
 * The line is edge-triggered: the device sets its bit in the interrupt status and then
 * raises an edge; the driver reads the status, acknowledges what it read and only then
 * looks for what it announced. So nothing is lost between the two, and an edge too
 * many finds a status of zero. Level-triggered would need an exit at each end of
 * interrupt for KVM to ask whether the line is still high.
 */
#include "kvm/virtio/mmio.h"

#include <errno.h>
#include <linux/virtio_mmio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum {
    MAGIC = 0x74726976, /* "virt" */
    VERSION = 2,
    VENDOR = 0x48535243, /* "CRSH": any number does */
};

struct virtio_mmio {
    struct virtio_transport transport; /* first */
    uint64_t gpa;                      /* of the registers; 0: no doorbells yet */
    int irq_fd;
};

static int call_fd(struct virtio_transport *transport)
{
    return ((struct virtio_mmio *)(void *)transport)->irq_fd;
}

static int queue_call_fd(struct virtio_transport *transport, unsigned int queue)
{
    (void)queue; /* all share the line */
    return call_fd(transport);
}

/* All registers are those that every transport has. */
static int restore(struct virtio_transport *transport, const Snapshot__Virtio *state,
                   struct crosh_error *err)
{
    if (state->pci != NULL)
        return crosh_error_set(err, -EINVAL, "it has virtio-%s on PCI, and the VM does not",
                               transport->dev->ops->name);
    return 0;
}

static const struct virtio_transport_ops transport_ops = {
    .queue_call_fd = queue_call_fd,
    .config_call_fd = call_fd,
    .shares_interrupts = true,
    .restore = restore,
};

/* ---- The registers (4.2.2); all with the transport's lock held ---- */

static uint32_t read_register(struct virtio_transport *t, uint64_t offset)
{
    const struct virtqueue *vq = virtio_transport_queue(t);

    switch (offset) {
    case VIRTIO_MMIO_MAGIC_VALUE:
        return MAGIC;
    case VIRTIO_MMIO_VERSION:
        return VERSION;
    case VIRTIO_MMIO_DEVICE_ID:
        return t->dev->ops->device_id;
    case VIRTIO_MMIO_VENDOR_ID:
        return VENDOR;
    case VIRTIO_MMIO_DEVICE_FEATURES:
        return virtio_transport_device_features(t);
    case VIRTIO_MMIO_QUEUE_NUM_MAX:
        return vq != NULL ? vq->size_max : 0;
    case VIRTIO_MMIO_QUEUE_READY:
        return virtio_transport_queue_enabled(t);
    case VIRTIO_MMIO_INTERRUPT_STATUS:
        return atomic_load(&t->isr);
    case VIRTIO_MMIO_STATUS:
        return virtio_transport_status(t);
    case VIRTIO_MMIO_SHM_LEN_LOW:
    case VIRTIO_MMIO_SHM_LEN_HIGH:
    case VIRTIO_MMIO_SHM_BASE_LOW:
    case VIRTIO_MMIO_SHM_BASE_HIGH:
        return UINT32_MAX; /* there are no shared memory regions */
    case VIRTIO_MMIO_CONFIG_GENERATION:
        return atomic_load(&t->config_generation);
    default:
        return 0;
    }
}

static void write_register(struct virtio_transport *t, uint64_t offset, uint32_t value)
{
    switch (offset) {
    case VIRTIO_MMIO_DEVICE_FEATURES_SEL:
        t->device_feature_select = value;
        break;
    case VIRTIO_MMIO_DRIVER_FEATURES_SEL:
        t->driver_feature_select = value;
        break;
    case VIRTIO_MMIO_DRIVER_FEATURES:
        virtio_transport_set_driver_features(t, value);
        break;
    case VIRTIO_MMIO_QUEUE_SEL:
        t->queue_select = value;
        break;
    case VIRTIO_MMIO_QUEUE_NUM:
        virtio_transport_set_queue_size(t, value);
        break;
    case VIRTIO_MMIO_QUEUE_READY:
        virtio_transport_enable_queue(t, value == 1);
        break;
    case VIRTIO_MMIO_QUEUE_NOTIFY:
        /* KVM sees to those of queues that there are. */
        if (value < t->dev->queue_count)
            (void)eventfd_write(t->kick_fd[value], 1);
        break;
    case VIRTIO_MMIO_INTERRUPT_ACK:
        atomic_fetch_and(&t->isr, ~value);
        break;
    case VIRTIO_MMIO_STATUS:
        virtio_transport_set_status(t, (uint8_t)value);
        break;
    case VIRTIO_MMIO_QUEUE_DESC_LOW:
    case VIRTIO_MMIO_QUEUE_DESC_HIGH:
        virtio_transport_set_queue_address(t, VIRTIO_QUEUE_DESC,
                                           offset == VIRTIO_MMIO_QUEUE_DESC_HIGH, value);
        break;
    case VIRTIO_MMIO_QUEUE_AVAIL_LOW:
    case VIRTIO_MMIO_QUEUE_AVAIL_HIGH:
        virtio_transport_set_queue_address(t, VIRTIO_QUEUE_DRIVER,
                                           offset == VIRTIO_MMIO_QUEUE_AVAIL_HIGH, value);
        break;
    case VIRTIO_MMIO_QUEUE_USED_LOW:
    case VIRTIO_MMIO_QUEUE_USED_HIGH:
        virtio_transport_set_queue_address(t, VIRTIO_QUEUE_DEVICE,
                                           offset == VIRTIO_MMIO_QUEUE_USED_HIGH, value);
        break;
    }
}

/* Registers are 32 bits wide and accessed as such (4.2.2.2); the configuration is as it likes. */
static uint64_t mmio_read(void *opaque, uint64_t offset, unsigned int size)
{
    struct virtio_transport *t = opaque;
    uint64_t value = 0;

    pthread_mutex_lock(&t->lock);
    if (offset >= VIRTIO_MMIO_CONFIG)
        value = virtio_transport_config_read(t, (uint32_t)(offset - VIRTIO_MMIO_CONFIG), size);
    else if (size == 4 && offset % 4 == 0)
        value = read_register(t, offset);
    pthread_mutex_unlock(&t->lock);
    return value;
}

static void mmio_write(void *opaque, uint64_t offset, uint64_t value, unsigned int size)
{
    struct virtio_transport *t = opaque;

    pthread_mutex_lock(&t->lock);
    if (offset >= VIRTIO_MMIO_CONFIG)
        virtio_transport_config_write(t, (uint32_t)(offset - VIRTIO_MMIO_CONFIG), value, size);
    else if (size == 4 && offset % 4 == 0)
        write_register(t, offset, (uint32_t)value);
    pthread_mutex_unlock(&t->lock);
}

const struct bus_ops virtio_mmio_bus_ops = {.read = mmio_read, .write = mmio_write};

/* ---- Life ---- */

static int set_doorbells(struct virtio_mmio *mmio, uint64_t gpa, bool attach)
{
    const struct virtio_transport *t = &mmio->transport;
    int code = 0;

    for (unsigned int i = 0; i < t->dev->queue_count && code == 0; i++)
        code = t->host.ops->doorbell(t->host.vm, gpa + VIRTIO_MMIO_QUEUE_NOTIFY, i, t->kick_fd[i],
                                     attach);
    return code;
}

struct virtio_mmio *virtio_mmio_new(const struct virtio_host *host, struct bus *bus, uint64_t gpa,
                                    int irq_fd, struct virtio_device *dev, struct crosh_error *err)
{
    struct virtio_mmio *mmio = calloc(1, sizeof(*mmio));
    int code;

    if (mmio == NULL) {
        (void)close(irq_fd);
        crosh_error_set(err, -ENOMEM, "out of memory");
        return NULL;
    }
    mmio->irq_fd = irq_fd;
    code = virtio_transport_init(&mmio->transport, &transport_ops, host, dev);
    if (code == 0)
        code = bus_add(bus, gpa, VIRTIO_MMIO_SIZE, &virtio_mmio_bus_ops, mmio);
    if (code == 0)
        code = set_doorbells(mmio, gpa, true);
    if (code < 0) {
        crosh_error_set(err, code, "virtio-%s: %s", dev->ops->name, strerror(-code));
        virtio_mmio_free(mmio);
        return NULL;
    }
    mmio->gpa = gpa;
    return mmio;
}

void virtio_mmio_free(struct virtio_mmio *mmio)
{
    if (mmio == NULL)
        return;
    if (mmio->gpa != 0)
        (void)set_doorbells(mmio, mmio->gpa, false);
    virtio_transport_fini(&mmio->transport);
    (void)close(mmio->irq_fd);
    free(mmio);
}

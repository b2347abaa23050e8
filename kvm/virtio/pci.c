/* SPDX-License-Identifier: MIT */
/* The virtio-pci transport on its bus: configuration space, BAR, doorbells. */
#include <endian.h>
#include <errno.h>
#include <linux/pci_regs.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_pci.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "kvm/virtio/pci-internal.h"

enum {
    VENDOR = 0x1af4,
    DEVICE_ID_BASE = 0x1040, /* plus the virtio device id (4.1.2) */
    REVISION = 1,

    /* The BAR: one page for each part, so that doorbells have theirs alone. */
    BAR_SIZE = 0x8000,
    COMMON_OFFSET = 0x0000,
    ISR_OFFSET = 0x1000,
    ISR_SIZE = 4,
    DEVICE_OFFSET = 0x2000,
    DEVICE_SIZE = 0x1000,
    NOTIFY_OFFSET = 0x3000,
    NOTIFY_MULTIPLIER = 4,
    MSIX_TABLE_OFFSET = 0x4000,
    MSIX_PBA_OFFSET = 0x5000,

    CLASS_STORAGE_OTHER = 0x018000,
    CLASS_NETWORK_ETHERNET = 0x020000,
    CLASS_COMMUNICATION_OTHER = 0x078000,
    CLASS_OTHER = 0xff0000,
};

_Static_assert(VIRTIO_DEVICE_MAX_QUEUES + 1 <= MSIX_MAX_VECTORS, "one vector for each queue");

static struct virtio_pci *from_pci(struct pci_device *device)
{
    return (struct virtio_pci *)(void *)device;
}

/* ---- The BAR ---- */

static bool is_within(uint64_t offset, unsigned int size, uint64_t start, uint64_t length)
{
    return offset >= start && offset - start < length && size <= length - (offset - start);
}

static uint64_t bar_read(struct pci_device *device, uint64_t offset, unsigned int size)
{
    struct virtio_pci *t = from_pci(device);
    uint64_t value = 0;

    if (is_within(offset, size, MSIX_TABLE_OFFSET, t->msix.count * PCI_MSIX_ENTRY_SIZE))
        return msix_table_read(&t->msix, offset - MSIX_TABLE_OFFSET, size);
    if (is_within(offset, size, MSIX_PBA_OFFSET, MSIX_PENDING_SIZE))
        return msix_pending(&t->msix) >> (8 * (offset - MSIX_PBA_OFFSET));
    if (is_within(offset, size, ISR_OFFSET, ISR_SIZE))
        return offset == ISR_OFFSET ? atomic_exchange(&t->transport.isr, 0) : 0;
    pthread_mutex_lock(&t->transport.lock);
    if (is_within(offset, size, COMMON_OFFSET, VIRTIO_PCI_COMMON_SIZE))
        value = virtio_pci_common_read(t, offset - COMMON_OFFSET, size);
    else if (is_within(offset, size, DEVICE_OFFSET, DEVICE_SIZE))
        value =
            virtio_transport_config_read(&t->transport, (uint32_t)(offset - DEVICE_OFFSET), size);
    pthread_mutex_unlock(&t->transport.lock);
    return value;
}

static void bar_write(struct pci_device *device, uint64_t offset, uint64_t value, unsigned int size)
{
    struct virtio_pci *t = from_pci(device);

    if (is_within(offset, size, NOTIFY_OFFSET, t->transport.dev->queue_count * NOTIFY_MULTIPLIER)) {
        /* Rare: KVM sees to doorbells itself, except while the BAR is being moved. */
        (void)eventfd_write(t->transport.kick_fd[(offset - NOTIFY_OFFSET) / NOTIFY_MULTIPLIER], 1);
        return;
    }
    if (is_within(offset, size, MSIX_TABLE_OFFSET, t->msix.count * PCI_MSIX_ENTRY_SIZE)) {
        msix_table_write(&t->msix, offset - MSIX_TABLE_OFFSET, value, size);
        return;
    }
    pthread_mutex_lock(&t->transport.lock);
    if (is_within(offset, size, COMMON_OFFSET, VIRTIO_PCI_COMMON_SIZE))
        virtio_pci_common_write(t, offset - COMMON_OFFSET, value, size);
    else if (is_within(offset, size, DEVICE_OFFSET, DEVICE_SIZE))
        virtio_transport_config_write(&t->transport, (uint32_t)(offset - DEVICE_OFFSET), value,
                                      size);
    pthread_mutex_unlock(&t->transport.lock);
}

static void set_doorbells(struct virtio_pci *t, bool attach)
{
    const struct virtio_host *host = &t->transport.host;

    for (unsigned int i = 0; i < t->transport.dev->queue_count; i++)
        (void)host->ops->doorbell(host->vm, t->doorbell_gpa + NOTIFY_OFFSET + i * NOTIFY_MULTIPLIER,
                                  VM_DOORBELL_ANY, t->transport.kick_fd[i], attach);
}

static void moved(struct pci_device *device, uint64_t gpa)
{
    struct virtio_pci *t = from_pci(device);

    if (t->doorbell_gpa != 0)
        set_doorbells(t, false);
    t->doorbell_gpa = gpa;
    if (gpa != 0)
        set_doorbells(t, true);
}

/* ---- Configuration space ---- */

/* Whether the access touches the window's data register, and what the window selects. */
static bool window_selects(struct virtio_pci *t, unsigned int offset, unsigned int size,
                           uint32_t *at, uint32_t *length)
{
    unsigned int data = t->window_capability + (unsigned int)sizeof(struct virtio_pci_cap);
    const uint8_t *config = t->pci.config + t->window_capability;

    if (offset + size <= data || offset >= data + 4)
        return false;
    memcpy(at, config + offsetof(struct virtio_pci_cap, offset), sizeof(*at));
    memcpy(length, config + offsetof(struct virtio_pci_cap, length), sizeof(*length));
    *at = le32toh(*at);
    *length = le32toh(*length);
    return config[offsetof(struct virtio_pci_cap, bar)] == 0 &&
           (*length == 1 || *length == 2 || *length == 4) && *at % *length == 0 &&
           *at <= BAR_SIZE - *length;
}

/* The window to the BAR, for firmware without MMIO (4.1.4.9). */
static void window_read(struct pci_device *device, unsigned int offset, unsigned int size)
{
    struct virtio_pci *t = from_pci(device);
    uint32_t at, length, value;

    if (!window_selects(t, offset, size, &at, &length))
        return;
    value = htole32((uint32_t)bar_read(device, at, length));
    memcpy(t->pci.config + t->window_capability + sizeof(struct virtio_pci_cap), &value,
           sizeof(value));
}

static uint16_t get_control(const struct virtio_pci *t)
{
    const uint8_t *at = t->pci.config + t->msix_capability + PCI_MSIX_FLAGS;

    return (uint16_t)(at[0] | at[1] << 8);
}

static void config_written(struct pci_device *device, unsigned int offset, unsigned int size)
{
    struct virtio_pci *t = from_pci(device);
    uint32_t at, length, value;

    if (offset < t->msix_capability + PCI_MSIX_FLAGS + 2 &&
        offset + size > t->msix_capability + PCI_MSIX_FLAGS)
        msix_set_control(&t->msix, get_control(t));
    if (window_selects(t, offset, size, &at, &length)) {
        memcpy(&value, t->pci.config + t->window_capability + sizeof(struct virtio_pci_cap),
               sizeof(value));
        bar_write(device, at, le32toh(value), length);
    }
}

static const struct pci_device_ops pci_ops = {
    .config_read = window_read,
    .config_written = config_written,
    .moved = moved,
    .bar_read = bar_read,
    .bar_write = bar_write,
};

/* ---- Construction ---- */

/* A capability that says where in the BAR a structure lies; where it is in config, or negative. */
static int add_structure(struct virtio_pci *t, uint8_t type, uint32_t offset, uint32_t length,
                         unsigned int extra)
{
    unsigned int size = (unsigned int)sizeof(struct virtio_pci_cap) + extra;
    int at = pci_add_capability(&t->pci, PCI_CAP_ID_VNDR, size);
    uint32_t le_offset = htole32(offset), le_length = htole32(length);

    if (at < 0)
        return at;
    t->pci.config[at + offsetof(struct virtio_pci_cap, cap_len)] = (uint8_t)size;
    t->pci.config[at + offsetof(struct virtio_pci_cap, cfg_type)] = type;
    memcpy(t->pci.config + at + offsetof(struct virtio_pci_cap, offset), &le_offset, 4);
    memcpy(t->pci.config + at + offsetof(struct virtio_pci_cap, length), &le_length, 4);
    return at;
}

static int add_msix(struct virtio_pci *t)
{
    int at = pci_add_capability(&t->pci, PCI_CAP_ID_MSIX, PCI_CAP_MSIX_SIZEOF);
    uint32_t table = htole32(MSIX_TABLE_OFFSET), pending = htole32(MSIX_PBA_OFFSET); /* BAR 0 */

    if (at < 0)
        return at;
    t->pci.config[at + PCI_MSIX_FLAGS] = (uint8_t)(t->msix.count - 1);
    t->pci.writable[at + PCI_MSIX_FLAGS + 1] =
        (PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL) >> 8;
    memcpy(t->pci.config + at + PCI_MSIX_TABLE, &table, 4);
    memcpy(t->pci.config + at + PCI_MSIX_PBA, &pending, 4);
    return at;
}

static int add_capabilities(struct virtio_pci *t)
{
    uint32_t multiplier = htole32(NOTIFY_MULTIPLIER);
    int notify, window, msix;

    notify = add_structure(t, VIRTIO_PCI_CAP_NOTIFY_CFG, NOTIFY_OFFSET,
                           t->transport.dev->queue_count * NOTIFY_MULTIPLIER, 4);
    window = add_structure(t, VIRTIO_PCI_CAP_PCI_CFG, 0, 0, 4);
    msix = add_msix(t);
    if (notify < 0 || window < 0 || msix < 0 ||
        add_structure(t, VIRTIO_PCI_CAP_COMMON_CFG, COMMON_OFFSET, VIRTIO_PCI_COMMON_SIZE, 0) < 0 ||
        add_structure(t, VIRTIO_PCI_CAP_ISR_CFG, ISR_OFFSET, ISR_SIZE, 0) < 0 ||
        add_structure(t, VIRTIO_PCI_CAP_DEVICE_CFG, DEVICE_OFFSET, DEVICE_SIZE, 0) < 0)
        return -ENOSPC;
    memcpy(t->pci.config + notify + sizeof(struct virtio_pci_cap), &multiplier, 4);
    t->window_capability = (unsigned int)window;
    t->msix_capability = (unsigned int)msix;
    /* The driver aims the window: BAR, offset, length; and reads or writes its four bytes. */
    memset(t->pci.writable + window + offsetof(struct virtio_pci_cap, bar), 0xff, 1);
    memset(t->pci.writable + window + offsetof(struct virtio_pci_cap, offset), 0xff, 12);
    return 0;
}

/* PCI's class codes for what the device does; drivers go by the device id. */
static uint32_t class_code(uint16_t device_id)
{
    switch (device_id) {
    case VIRTIO_ID_BLOCK:
        return CLASS_STORAGE_OTHER;
    case VIRTIO_ID_NET:
        return CLASS_NETWORK_ETHERNET;
    case VIRTIO_ID_CONSOLE:
        return CLASS_COMMUNICATION_OTHER;
    default:
        return CLASS_OTHER;
    }
}

/* slot: as pci_bus_plug()'s, of one that comes while the guest runs (is_hot). */
static struct virtio_pci *create(const struct virtio_host *host, struct pci_bus *bus, bool is_hot,
                                 unsigned int slot, struct virtio_device *dev,
                                 struct crosh_error *err)
{
    struct virtio_pci *t = calloc(1, sizeof(*t));
    uint16_t id = (uint16_t)(DEVICE_ID_BASE + dev->ops->device_id);
    int code;

    if (t == NULL) {
        crosh_error_set(err, -ENOMEM, "out of memory");
        return NULL;
    }
    t->bus = bus;
    code = virtio_transport_init(&t->transport, &virtio_pci_transport_ops, host, dev);
    if (code == 0)
        code = msix_init(&t->msix, dev->ops->has_one_vector ? 2 : dev->queue_count + 1, host->ops,
                         host->vm);
    pci_device_init(&t->pci, &pci_ops, VENDOR, id, REVISION, class_code(dev->ops->device_id));
    memcpy(t->pci.config + PCI_SUBSYSTEM_VENDOR_ID, t->pci.config + PCI_VENDOR_ID, 4);
    t->pci.bar_size = BAR_SIZE;
    if (code == 0)
        code = add_capabilities(t);
    if (code == 0)
        code = is_hot ? pci_bus_plug(bus, &t->pci, slot) : pci_bus_add(bus, &t->pci);
    t->msix.requester = t->pci.requester;
    if (code < 0) {
        crosh_error_set(err, code, "virtio-%s: %s", dev->ops->name, strerror(-code));
        virtio_pci_free(t);
        return NULL;
    }
    return t;
}

struct virtio_pci *virtio_pci_new(const struct virtio_host *host, struct pci_bus *bus,
                                  struct virtio_device *dev, struct crosh_error *err)
{
    return create(host, bus, false, 0, dev, err);
}

struct virtio_pci *virtio_pci_plug(const struct virtio_host *host, struct pci_bus *bus,
                                   unsigned int slot, struct virtio_device *dev,
                                   struct crosh_error *err)
{
    struct virtio_pci *t = create(host, bus, true, slot, dev, err);

    if (t == NULL && err->code == -ENOSPC)
        crosh_error_set(err, -ENOSPC, "at most %d devices can be attached at a time",
                        PCI_HOTPLUG_SLOTS);
    return t;
}

struct pci_device *virtio_pci_device(struct virtio_pci *t)
{
    return &t->pci;
}

void virtio_pci_free(struct virtio_pci *t)
{
    if (t == NULL)
        return;
    if (t->doorbell_gpa != 0)
        set_doorbells(t, false);
    virtio_transport_fini(&t->transport);
    msix_fini(&t->msix);
    free(t);
}

/* SPDX-License-Identifier: MIT */
/* Implements the PCI bus (PCI local bus 3.0 chapter 6; PCI Express 4.0 section 7.2.2 for ECAM). */
#include "kvm/hw/pci.h"

#include <endian.h>
#include <errno.h>
#include <linux/pci_regs.h>
#include <stddef.h>
#include <string.h>

enum {
    ECAM_FUNCTION_SIZE = 4096,
    CONFIG_ENABLE_SHIFT = 31,
    FIRST_CAPABILITY = 0x40,
    /* A host bridge that Linux knows by class only: QEMU's generic one (Red Hat). */
    BRIDGE_VENDOR = 0x1b36,
    BRIDGE_DEVICE = 0x0008,
    BRIDGE_CLASS = 0x060000,
};

static uint16_t get16(const uint8_t *at)
{
    return (uint16_t)(at[0] | at[1] << 8);
}

static uint32_t get32(const uint8_t *at)
{
    return get16(at) | (uint32_t)get16(at + 2) << 16;
}

static void put16(uint8_t *at, uint16_t value)
{
    at[0] = (uint8_t)value;
    at[1] = (uint8_t)(value >> 8);
}

static void put32(uint8_t *at, uint32_t value)
{
    put16(at, (uint16_t)value);
    put16(at + 2, (uint16_t)(value >> 16));
}

void pci_device_init(struct pci_device *device, const struct pci_device_ops *ops, uint16_t vendor,
                     uint16_t id, uint8_t revision, uint32_t class_code)
{
    device->ops = ops;
    put16(device->config + PCI_VENDOR_ID, vendor);
    put16(device->config + PCI_DEVICE_ID, id);
    device->config[PCI_REVISION_ID] = revision;
    device->config[PCI_CLASS_PROG] = (uint8_t)class_code;
    put16(device->config + PCI_CLASS_DEVICE, (uint16_t)(class_code >> 8));
    put16(device->writable + PCI_COMMAND,
          PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | PCI_COMMAND_INTX_DISABLE);
    device->writable[PCI_CACHE_LINE_SIZE] = 0xff;
    device->writable[PCI_INTERRUPT_LINE] = 0xff;
}

int pci_add_capability(struct pci_device *device, uint8_t id, unsigned int size)
{
    unsigned int at = device->capability_end != 0 ? device->capability_end : FIRST_CAPABILITY;

    size = (size + 3) & ~3u;
    if (size > PCI_CONFIG_SIZE - at)
        return -ENOSPC;
    if (device->last_capability == 0) {
        device->config[PCI_CAPABILITY_LIST] = (uint8_t)at;
        device->config[PCI_STATUS] |= PCI_STATUS_CAP_LIST;
    } else {
        device->config[device->last_capability + PCI_CAP_LIST_NEXT] = (uint8_t)at;
    }
    device->config[at + PCI_CAP_LIST_ID] = id;
    device->last_capability = at;
    device->capability_end = at + size;
    return (int)at;
}

void pci_bus_init(struct pci_bus *bus, uint32_t window, uint32_t window_size)
{
    *bus = (struct pci_bus){
        .lock = PTHREAD_MUTEX_INITIALIZER, .window = window, .window_size = window_size};
    pci_device_init(&bus->bridge, NULL, BRIDGE_VENDOR, BRIDGE_DEVICE, 0, BRIDGE_CLASS);
    (void)pci_bus_add(bus, &bus->bridge);
}

void pci_bus_fini(struct pci_bus *bus)
{
    pthread_mutex_destroy(&bus->lock);
}

/* How the guest finds out about the BAR's size. */
static void make_bar_writable(struct pci_device *device)
{
    put32(device->writable + PCI_BASE_ADDRESS_0,
          ~(device->bar_size - 1) & (uint32_t)PCI_BASE_ADDRESS_MEM_MASK);
}

/* Places BARs as firmware would: each at a multiple of its size. */
static int place_bar(struct pci_bus *bus, struct pci_device *device)
{
    uint32_t size = device->bar_size;
    uint32_t at = (bus->window_used + size - 1) & ~(size - 1);

    if (size > bus->window_size || at > bus->window_size - size)
        return -ENOSPC;
    bus->window_used = at + size;
    put32(device->config + PCI_BASE_ADDRESS_0, bus->window + at);
    make_bar_writable(device);
    return 0;
}

/* The first slot without a device, from first to before end; negative when there is none. */
static int free_slot(struct pci_bus *bus, unsigned int first, unsigned int end)
{
    for (unsigned int slot = first; slot < end; slot++)
        if (atomic_load(&bus->device[slot]) == NULL)
            return (int)slot;
    return -ENOSPC;
}

int pci_bus_add(struct pci_bus *bus, struct pci_device *device)
{
    int slot = free_slot(bus, 0, PCI_MAX_DEVICES);

    if (slot < 0 || (device->bar_size != 0 && place_bar(bus, device) < 0))
        return -ENOSPC;
    device->requester = (uint16_t)(slot << 3);
    atomic_store(&bus->device[slot], device);
    return 0;
}

int pci_bus_plug(struct pci_bus *bus, struct pci_device *device, unsigned int wanted)
{
    const unsigned int first = PCI_HOTPLUG_FIRST, end = first + PCI_HOTPLUG_SLOTS;
    int slot;

    if (wanted == 0)
        slot = free_slot(bus, first, end);
    else
        slot = wanted >= first && wanted < end ? free_slot(bus, wanted, wanted + 1) : -ENOSPC;
    if (slot < 0)
        return slot;
    make_bar_writable(device);
    device->is_hotplugged = true;
    device->requester = (uint16_t)(slot << 3);
    atomic_store(&bus->device[slot], device);
    return slot;
}

struct pci_device *pci_bus_unplug(struct pci_bus *bus, unsigned int slot)
{
    struct pci_device *device = NULL;

    if (slot >= PCI_MAX_DEVICES)
        return NULL;
    pthread_mutex_lock(&bus->lock);
    if (bus->device[slot] != NULL && bus->device[slot]->is_hotplugged)
        device = atomic_exchange(&bus->device[slot], NULL);
    pthread_mutex_unlock(&bus->lock);
    return device;
}

/* Follows the BAR where the guest puts it, as long as that is inside the window. */
static void update_bar(struct pci_bus *bus, struct pci_device *device)
{
    uint32_t gpa = get32(device->config + PCI_BASE_ADDRESS_0) & (uint32_t)PCI_BASE_ADDRESS_MEM_MASK;
    bool decoded = (get16(device->config + PCI_COMMAND) & PCI_COMMAND_MEMORY) != 0;

    if (device->bar_size == 0)
        return;
    if (!decoded || gpa < bus->window || gpa - bus->window > bus->window_size - device->bar_size)
        gpa = 0;
    if (gpa == device->bar_gpa)
        return;
    device->bar_gpa = gpa;
    if (device->ops != NULL && device->ops->moved != NULL)
        device->ops->moved(device, gpa);
}

int pci_device_restore(struct pci_bus *bus, struct pci_device *device,
                       const uint8_t saved[PCI_CONFIG_SIZE])
{
    for (unsigned int i = 0; i < PCI_CONFIG_SIZE; i++)
        if (((saved[i] ^ device->config[i]) & ~device->writable[i]) != 0)
            return -EBADMSG;
    pthread_mutex_lock(&bus->lock);
    memcpy(device->config, saved, PCI_CONFIG_SIZE);
    update_bar(bus, device);
    pthread_mutex_unlock(&bus->lock);
    return 0;
}

static uint32_t config_read(struct pci_bus *bus, unsigned int slot, unsigned int offset,
                            unsigned int size)
{
    struct pci_device *device;
    uint32_t value = UINT32_MAX;

    if (slot >= PCI_MAX_DEVICES || size > 4)
        return value;
    pthread_mutex_lock(&bus->lock);
    device = bus->device[slot];
    if (device != NULL) {
        value = 0;
        /* Behind the first 256 bytes are extended capabilities: there are none. */
        if (offset <= PCI_CONFIG_SIZE - size) {
            if (device->ops != NULL && device->ops->config_read != NULL)
                device->ops->config_read(device, offset, size);
            memcpy(&value, device->config + offset, size);
        }
    }
    pthread_mutex_unlock(&bus->lock);
    return le32toh(value);
}

static void config_write(struct pci_bus *bus, unsigned int slot, unsigned int offset,
                         uint32_t value, unsigned int size)
{
    struct pci_device *device;

    if (slot >= PCI_MAX_DEVICES || size > 4 || offset > PCI_CONFIG_SIZE - size)
        return;
    pthread_mutex_lock(&bus->lock);
    device = bus->device[slot];
    if (device == NULL) {
        pthread_mutex_unlock(&bus->lock);
        return;
    }
    for (unsigned int i = 0; i < size; i++) {
        uint8_t mask = device->writable[offset + i];
        uint8_t byte = (uint8_t)(value >> (8 * i));

        device->config[offset + i] = (device->config[offset + i] & ~mask) | (byte & mask);
    }
    update_bar(bus, device);
    if (device->ops != NULL && device->ops->config_written != NULL)
        device->ops->config_written(device, offset, size);
    pthread_mutex_unlock(&bus->lock);
}

/* Only function 0 of each device is there; other functions and buses read as absent. */
static bool decode(unsigned int function, unsigned int *slot)
{
    *slot = function >> 3;
    return (function & 7) == 0;
}

static uint64_t ecam_read(void *opaque, uint64_t offset, unsigned int size)
{
    unsigned int slot;

    if (!decode((unsigned int)(offset / ECAM_FUNCTION_SIZE), &slot))
        return UINT64_MAX;
    return config_read(opaque, slot, (unsigned int)(offset % ECAM_FUNCTION_SIZE), size);
}

static void ecam_write(void *opaque, uint64_t offset, uint64_t value, unsigned int size)
{
    unsigned int slot;

    if (decode((unsigned int)(offset / ECAM_FUNCTION_SIZE), &slot))
        config_write(opaque, slot, (unsigned int)(offset % ECAM_FUNCTION_SIZE), (uint32_t)value,
                     size);
}

const struct bus_ops pci_ecam_bus_ops = {.read = ecam_read, .write = ecam_write};

/* What port 0xcf8 selects: false when it is disabled or nothing of ours. */
static bool selected(struct pci_bus *bus, uint64_t port, unsigned int *slot, unsigned int *offset)
{
    uint32_t address;

    pthread_mutex_lock(&bus->lock);
    address = bus->address;
    pthread_mutex_unlock(&bus->lock);
    *offset = (address & 0xfc) + (unsigned int)(port - 4);
    return address >> CONFIG_ENABLE_SHIFT != 0 && (address >> 16 & 0xff) == 0 &&
           decode(address >> 8 & 0xff, slot);
}

static uint64_t port_read(void *opaque, uint64_t offset, unsigned int size)
{
    struct pci_bus *bus = opaque;
    unsigned int slot, at;
    uint32_t value = UINT32_MAX;

    if (offset == 0 && size == 4) {
        pthread_mutex_lock(&bus->lock);
        value = bus->address;
        pthread_mutex_unlock(&bus->lock);
    } else if (offset >= 4 && selected(bus, offset, &slot, &at)) {
        value = config_read(bus, slot, at, size);
    }
    return value;
}

static void port_write(void *opaque, uint64_t offset, uint64_t value, unsigned int size)
{
    struct pci_bus *bus = opaque;
    unsigned int slot, at;

    if (offset == 0 && size == 4) {
        pthread_mutex_lock(&bus->lock);
        bus->address = (uint32_t)value;
        pthread_mutex_unlock(&bus->lock);
    } else if (offset >= 4 && selected(bus, offset, &slot, &at)) {
        config_write(bus, slot, at, (uint32_t)value, size);
    }
}

const struct bus_ops pci_port_bus_ops = {.read = port_read, .write = port_write};

/* The device whose BAR holds the whole access, and where in it; it has one user more. */
static struct pci_device *find_bar(struct pci_bus *bus, uint64_t *offset, unsigned int size)
{
    uint64_t gpa = bus->window + *offset;
    struct pci_device *found = NULL;

    pthread_mutex_lock(&bus->lock);
    for (unsigned int i = 0; i < PCI_MAX_DEVICES && found == NULL; i++) {
        struct pci_device *device = bus->device[i];

        if (device != NULL && device->bar_gpa != 0 && gpa >= device->bar_gpa &&
            gpa - device->bar_gpa <= device->bar_size - size) {
            found = device;
            atomic_fetch_add(&device->users, 1);
            *offset = gpa - device->bar_gpa;
        }
    }
    pthread_mutex_unlock(&bus->lock);
    return found;
}

static uint64_t window_read(void *opaque, uint64_t offset, unsigned int size)
{
    struct pci_device *device = find_bar(opaque, &offset, size);
    uint64_t value = UINT64_MAX;

    if (device != NULL) {
        value = device->ops->bar_read(device, offset, size);
        atomic_fetch_sub(&device->users, 1);
    }
    return value;
}

static void window_write(void *opaque, uint64_t offset, uint64_t value, unsigned int size)
{
    struct pci_device *device = find_bar(opaque, &offset, size);

    if (device != NULL) {
        device->ops->bar_write(device, offset, value, size);
        atomic_fetch_sub(&device->users, 1);
    }
}

const struct bus_ops pci_window_bus_ops = {.read = window_read, .write = window_write};

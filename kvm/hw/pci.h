/* SPDX-License-Identifier: MIT */
/* The PCI bus: configuration space by ECAM and by ports, and where BARs are decoded. */
#ifndef KVM_HW_PCI_H
#define KVM_HW_PCI_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "kvm/hw/bus.h"

#define PCI_MAX_DEVICES   32
#define PCI_HOTPLUG_FIRST 24 /* slots from here on are for devices that come and go */
#define PCI_HOTPLUG_SLOTS 8
#define PCI_CONFIG_SIZE   256
#define PCI_CONFIG_PORT   0xcf8
#define PCI_CONFIG_PORTS  8

struct pci_device;

/*
 * What a device implements; all may be NULL. Called from vcpu threads.
 * config_* and moved come with the bus's lock held, bar_* without it.
 */
struct pci_device_ops {
    /* The guest is about to read these bytes of config: bring them up to date. */
    void (*config_read)(struct pci_device *device, unsigned int offset, unsigned int size);
    /* The guest wrote these bytes; the writable ones are changed already. */
    void (*config_written)(struct pci_device *device, unsigned int offset, unsigned int size);
    /* The BAR is decoded at a new address; 0: nowhere. */
    void (*moved)(struct pci_device *device, uint64_t gpa);
    uint64_t (*bar_read)(struct pci_device *device, uint64_t offset, unsigned int size);
    void (*bar_write)(struct pci_device *device, uint64_t offset, uint64_t value,
                      unsigned int size);
};

/* A function without PCIe capability, with at most one BAR: BAR 0, 32-bit memory. */
struct pci_device {
    const struct pci_device_ops *ops;
    uint8_t config[PCI_CONFIG_SIZE];
    uint8_t writable[PCI_CONFIG_SIZE]; /* the bits of config that the guest may change */
    uint32_t bar_size;                 /* a power of two; 0: no BAR */
    uint32_t bar_gpa;                  /* where it is decoded; 0: nowhere */
    bool is_hotplugged;
    atomic_uint users;           /* accesses to the BAR under way */
    uint16_t requester;          /* bus, device and function; since pci_bus_add() */
    unsigned int capability_end; /* first free byte for capabilities; 0: none yet */
    unsigned int last_capability;
};

/*
 * One bus; slots without a device are NULL. The loop's thread puts devices on it, vcpu
 * threads take them off: neither waits for the other, though the lock may be held
 * while a vcpu waits for the loop's thread.
 */
struct pci_bus {
    pthread_mutex_t lock;
    struct pci_device *_Atomic device[PCI_MAX_DEVICES];
    uint32_t window, window_size, window_used; /* where BARs may be */
    uint32_t address;                          /* port 0xcf8 */
    struct pci_device bridge;
};

void pci_bus_init(struct pci_bus *bus, uint32_t window, uint32_t window_size);
void pci_bus_fini(struct pci_bus *bus);

/* Sets the identity of a device whose struct is zero. */
void pci_device_init(struct pci_device *device, const struct pci_device_ops *ops, uint16_t vendor,
                     uint16_t id, uint8_t revision, uint32_t class_code);
/* Appends a capability of size bytes; where it lies in config, or negative when there is no room.
 */
int pci_add_capability(struct pci_device *device, uint8_t id, unsigned int size);
/* Puts the device on the bus, its BAR placed but not yet decoded. 0, or -ENOSPC. */
int pci_bus_add(struct pci_bus *bus, struct pci_device *device);
/*
 * The same in a slot for hot-plugging, while the guest runs; it places the BAR. wanted: the slot
 * that it had in a snapshot; 0: any. The slot, or -ENOSPC.
 */
int pci_bus_plug(struct pci_bus *bus, struct pci_device *device, unsigned int wanted);
/*
 * Takes a hot-plugged device off its slot: no access to it begins any more, and it may be freed
 * once users is 0. Not for the loop's thread. The device, or NULL: there is none.
 */
struct pci_device *pci_bus_unplug(struct pci_bus *bus, unsigned int slot);

/*
 * For snapshots: takes over of a saved configuration space what the guest can write,
 * and decodes the BAR where that says; config_written is not called. -EBADMSG when the
 * rest differs: it is of another device. No vcpu runs.
 */
int pci_device_restore(struct pci_bus *bus, struct pci_device *device,
                       const uint8_t saved[PCI_CONFIG_SIZE]);

/* Opaque of all three: struct pci_bus. */
extern const struct bus_ops pci_ecam_bus_ops;   /* MMIO: the ECAM of one bus */
extern const struct bus_ops pci_port_bus_ops;   /* PCI_CONFIG_PORT */
extern const struct bus_ops pci_window_bus_ops; /* MMIO: the whole window */

#endif

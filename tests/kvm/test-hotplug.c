/* SPDX-License-Identifier: MIT */
/* Tests PCI devices that come and go: their slots, and the registers that tell the guest. */
#include "tests/unit/cmocka-prelude.h"

#include <errno.h>
#include <string.h>

#include "kvm/hw/pci-hotplug.h"

enum {
    WINDOW = 0xc0000000,
    ECAM_SLOT = 0x8000,
    COMMAND = 4,
    BAR0 = 0x10,
    MEMORY = 2, /* of the command register */
};

struct fixture {
    struct pci_bus bus;
    struct pci_hotplug hotplug;
    struct pci_device device[PCI_HOTPLUG_SLOTS + 1];
    struct pci_device *ejected;
    unsigned int ejections;
};

static uint64_t bar_read(struct pci_device *device, uint64_t offset, unsigned int size)
{
    (void)size;
    /* An access that is under way is counted. */
    return offset + 0x1000 * atomic_load(&device->users);
}

static const struct pci_device_ops ops = {.bar_read = bar_read};

static void on_ejected(void *opaque, struct pci_device *device)
{
    struct fixture *f = opaque;

    f->ejected = device;
    f->ejections++;
}

static void set_up(struct fixture *f)
{
    memset(f, 0, sizeof(*f));
    pci_bus_init(&f->bus, WINDOW, 0x20000000);
    f->hotplug = (struct pci_hotplug){.bus = &f->bus, .ejected = on_ejected, .opaque = f};
    for (unsigned int i = 0; i <= PCI_HOTPLUG_SLOTS; i++) {
        pci_device_init(&f->device[i], &ops, 0x1af4, (uint16_t)(0x1000 + i), 0, 0xff0000);
        f->device[i].bar_size = 0x1000;
    }
}

static uint64_t ecam(struct fixture *f, unsigned int slot, unsigned int offset, unsigned int size)
{
    return pci_ecam_bus_ops.read(&f->bus, slot * ECAM_SLOT + offset, size) &
           (UINT64_MAX >> (64 - 8 * size));
}

static uint64_t port(struct fixture *f, unsigned int number)
{
    return pci_hotplug_bus_ops.read(&f->hotplug, number - PCI_HOTPLUG_PORT_BASE, 1);
}

static void eject(struct fixture *f, uint64_t mask)
{
    pci_hotplug_bus_ops.write(&f->hotplug, PCI_HOTPLUG_PORT_EJECT - PCI_HOTPLUG_PORT_BASE, mask, 1);
}

static void test_come_and_go(void **state)
{
    const unsigned int slot = PCI_HOTPLUG_FIRST;
    struct fixture f;

    (void)state;
    set_up(&f);
    assert_int_equal(ecam(&f, slot, 0, 4), 0xffffffff);
    assert_int_equal(pci_bus_plug(&f.bus, &f.device[0], 0), slot);
    pci_hotplug_add(&f.hotplug, slot);
    assert_int_equal(ecam(&f, slot, 0, 4), 0x10001af4);
    assert_int_equal(f.device[0].requester, slot << 3);
    /* Told once. */
    assert_int_equal(port(&f, PCI_HOTPLUG_PORT_ADDED), 1);
    assert_int_equal(port(&f, PCI_HOTPLUG_PORT_ADDED), 0);
    assert_int_equal(port(&f, PCI_HOTPLUG_PORT_WANTED), 0);
    /* The BAR has a size and no place until the guest gives it one. */
    assert_int_equal(ecam(&f, slot, BAR0, 4), 0);
    pci_ecam_bus_ops.write(&f.bus, slot * ECAM_SLOT + BAR0, 0xffffffff, 4);
    assert_int_equal(ecam(&f, slot, BAR0, 4), 0xfffff000);
    pci_ecam_bus_ops.write(&f.bus, slot * ECAM_SLOT + BAR0, WINDOW + 0x5000, 4);
    pci_ecam_bus_ops.write(&f.bus, slot * ECAM_SLOT + COMMAND, MEMORY, 2);
    assert_int_equal(pci_window_bus_ops.read(&f.bus, 0x5010, 4), 0x1010);
    assert_int_equal(f.device[0].users, 0);

    pci_hotplug_want(&f.hotplug, slot);
    assert_int_equal(port(&f, PCI_HOTPLUG_PORT_WANTED), 1);
    assert_int_equal(port(&f, PCI_HOTPLUG_PORT_WANTED), 0);
    assert_int_equal(f.ejections, 0);
    eject(&f, 1);
    assert_ptr_equal(f.ejected, &f.device[0]);
    assert_int_equal(ecam(&f, slot, 0, 4), 0xffffffff);
    assert_int_equal(pci_window_bus_ops.read(&f.bus, 0x5010, 4), UINT64_MAX);
    pci_ecam_bus_ops.write(&f.bus, slot * ECAM_SLOT + COMMAND, MEMORY, 2);
    eject(&f, 0xff);
    assert_int_equal(f.ejections, 1);
    pci_bus_fini(&f.bus);
}

static void test_slots(void **state)
{
    struct fixture f;

    (void)state;
    set_up(&f);
    for (unsigned int i = 0; i < PCI_HOTPLUG_SLOTS; i++)
        assert_int_equal(pci_bus_plug(&f.bus, &f.device[i], 0), PCI_HOTPLUG_FIRST + i);
    assert_int_equal(pci_bus_plug(&f.bus, &f.device[PCI_HOTPLUG_SLOTS], 0), -ENOSPC);
    /* One that was there from the start, in a low slot: it cannot be ejected. */
    assert_int_equal(pci_bus_add(&f.bus, &f.device[PCI_HOTPLUG_SLOTS]), 0);
    assert_int_equal(ecam(&f, 1, 2, 2), 0x1000 + PCI_HOTPLUG_SLOTS);
    assert_null(pci_bus_unplug(&f.bus, 1));
    assert_null(pci_bus_unplug(&f.bus, 0));
    assert_null(pci_bus_unplug(&f.bus, PCI_MAX_DEVICES));
    eject(&f, 1 << 3 | 0x100);
    assert_ptr_equal(f.ejected, &f.device[3]);
    assert_int_equal(f.ejections, 1);
    assert_int_equal(pci_bus_plug(&f.bus, &f.device[3], 0), PCI_HOTPLUG_FIRST + 3);
    pci_bus_fini(&f.bus);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_come_and_go),
        cmocka_unit_test(test_slots),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

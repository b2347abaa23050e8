/* SPDX-License-Identifier: MIT */
/* Tests buses, the serial port, the power registers, PCI and MSI-X without a hypervisor. */
#include "tests/unit/cmocka-prelude.h"

#include <errno.h>
#include <linux/pci_regs.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "kvm/hw/bus.h"
#include "kvm/hw/msix.h"
#include "kvm/hw/pci.h"
#include "kvm/hw/power.h"
#include "kvm/hw/rtc.h"
#include "kvm/hw/serial.h"

/* ---- Buses ---- */

static uint64_t last_offset, last_value;
static unsigned int last_size, accesses;

static uint64_t note_read(void *opaque, uint64_t offset, unsigned int size)
{
    accesses++;
    last_offset = offset;
    last_size = size;
    return (uint64_t)(uintptr_t)opaque;
}

static void note_write(void *opaque, uint64_t offset, uint64_t value, unsigned int size)
{
    (void)note_read(opaque, offset, size);
    last_value = value;
}

static const struct bus_ops note_ops = {.read = note_read, .write = note_write};

static void test_bus(void **state)
{
    struct bus bus = {0};

    (void)state;
    assert_int_equal(bus_add(&bus, 0x200, 0x10, &note_ops, (void *)2), 0);
    assert_int_equal(bus_add(&bus, 0x100, 0x10, &note_ops, (void *)1), 0);
    assert_int_equal(bus_add(&bus, UINT64_MAX, 1, &note_ops, (void *)0xabcd), 0);
    assert_int_equal(bus_add(&bus, 0x110, 0xf0, &note_ops, (void *)3), 0);
    assert_int_equal(bus_add(&bus, 0x10f, 2, &note_ops, NULL), -EINVAL);
    assert_int_equal(bus_add(&bus, 0x0, 0x101, &note_ops, NULL), -EINVAL);
    assert_int_equal(bus_add(&bus, 0x300, 0, &note_ops, NULL), -EINVAL);
    assert_int_equal(bus_add(&bus, 0x300, UINT64_MAX, &note_ops, NULL), -EINVAL);

    assert_int_equal(bus_read(&bus, 0x100, 1), 1);
    assert_int_equal(bus_read(&bus, 0x10f, 1), 1);
    assert_int_equal(last_offset, 0xf);
    assert_int_equal(bus_read(&bus, 0x110, 4), 3);
    assert_int_equal(bus_read(&bus, 0x20c, 4), 2);
    assert_int_equal(bus_read(&bus, UINT64_MAX, 1), 0xcd);
    /* Nobody, and across an end: all ones. */
    accesses = 0;
    assert_int_equal(bus_read(&bus, 0xff, 2), 0xffff);
    assert_int_equal(bus_read(&bus, 0x20d, 4), UINT32_MAX);
    assert_true(bus_read(&bus, UINT64_MAX - 3, 8) == UINT64_MAX);
    bus_write(&bus, 0x20f, 1, 2);
    assert_int_equal(accesses, 0);
    bus_write(&bus, 0x201, 0x12345, 2);
    assert_int_equal(last_value, 0x2345);
    assert_int_equal(last_size, 2);
}

/* ---- Serial ---- */

static char sent[64];
static size_t sent_size;

static void on_byte(void *opaque, uint8_t byte)
{
    (void)opaque;
    if (sent_size < sizeof(sent))
        sent[sent_size++] = (char)byte;
}

static bool was_raised(int fd)
{
    eventfd_t count;

    return eventfd_read(fd, &count) == 0;
}

static uint8_t in(struct serial *serial, unsigned int reg)
{
    return (uint8_t)serial_bus_ops.read(serial, reg, 1);
}

static void out(struct serial *serial, unsigned int reg, uint8_t value)
{
    serial_bus_ops.write(serial, reg, value, 1);
}

static void test_serial(void **state)
{
    int irq = eventfd(0, EFD_NONBLOCK);
    struct serial serial;
    char many[8192] = {0};

    (void)state;
    serial_init(&serial, irq, on_byte, NULL);
    sent_size = 0;
    out(&serial, 0, 'h');
    out(&serial, 0, 'i');
    assert_int_equal(sent_size, 2);
    assert_memory_equal(sent, "hi", 2);
    assert_int_equal(in(&serial, 5), 0x60);
    assert_false(was_raised(irq));

    /* The divisor hides the data and interrupt registers. */
    out(&serial, 3, 0x80);
    out(&serial, 0, 0x0c);
    out(&serial, 1, 0x01);
    assert_int_equal(in(&serial, 0), 0x0c);
    assert_int_equal(in(&serial, 1), 0x01);
    out(&serial, 3, 0x03);
    assert_int_equal(in(&serial, 1), 0);
    assert_int_equal(sent_size, 2);

    /* Enabling the transmitter's interrupt raises it; reading IIR takes it away. */
    out(&serial, 1, 0x02);
    assert_true(was_raised(irq));
    assert_int_equal(in(&serial, 2), 0x02);
    assert_int_equal(in(&serial, 2), 0x01);

    /* Received bytes come in order, each read raising the interrupt for the rest. */
    out(&serial, 1, 0x01);
    (void)was_raised(irq);
    assert_int_equal(serial_input(&serial, "ab", 2), 2);
    assert_true(was_raised(irq));
    assert_int_equal(in(&serial, 2), 0x04);
    assert_int_equal(in(&serial, 5), 0x61);
    assert_int_equal(in(&serial, 0), 'a');
    assert_true(was_raised(irq));
    assert_int_equal(in(&serial, 0), 'b');
    assert_false(was_raised(irq));
    assert_int_equal(in(&serial, 5), 0x60);
    assert_int_equal(in(&serial, 0), 0);

    /* What does not fit is dropped, and nothing else is harmed. */
    assert_int_equal(serial_input(&serial, many, sizeof(many)), sizeof(serial.input));
    assert_int_equal(serial_input(&serial, many, 1), 0);
    out(&serial, 2, 0x03);
    assert_int_equal(in(&serial, 5), 0x60);
    assert_int_equal(in(&serial, 2) & 0xc0, 0xc0);

    /* Loopback, by which drivers find the port. */
    out(&serial, 4, 0x1a);
    assert_int_equal(in(&serial, 6) & 0xf0, 0x90);
    out(&serial, 0, 'x');
    assert_int_equal(in(&serial, 0), 'x');
    assert_int_equal(sent_size, 2);
    serial_fini(&serial);
    close(irq);
}

/* ---- Power ---- */

static int power_events[3];

static void on_power(void *opaque, enum power_event event, const char *how)
{
    (void)opaque;
    assert_non_null(how);
    power_events[event]++;
}

static void answer(void *opaque, uint8_t byte)
{
    (void)serial_input(opaque, &byte, 1);
}

/* The thread that takes the output away may be the one that brings input: neither waits for the
   other. */
static void test_serial_echo(void **state)
{
    struct serial serial;

    (void)state;
    serial_init(&serial, -1, answer, &serial);
    alarm(10);
    out(&serial, 0, 'x');
    alarm(0);
    assert_int_equal(in(&serial, 0), 'x');
    serial_fini(&serial);
}

/* ---- The clock ---- */

static time_t rtc_time;

static time_t fixed_time(void)
{
    return rtc_time;
}

static unsigned int rtc_register(struct rtc *rtc, uint8_t index)
{
    rtc_bus_ops.write(rtc, 0, index, 1);
    return (unsigned int)rtc_bus_ops.read(rtc, 1, 1);
}

static void test_rtc(void **state)
{
    /* Year, month, day, hour, minute, second, day of the week, century. */
    static const uint8_t indices[] = {9, 8, 7, 4, 2, 0, 6, 0x32};
    static const uint8_t bcd[] = {0x27, 0x12, 0x31, 0x23, 0x59, 0x58, 0x06, 0x20};
    static const uint8_t binary[] = {27, 12, 31, 23, 59, 58, 6, 20};
    struct rtc rtc;

    (void)state;
    rtc_init(&rtc);
    rtc.now = fixed_time;
    rtc_time = 1830297598; /* 2027-12-31 23:59:58 UTC, a Friday */
    for (size_t i = 0; i < sizeof(indices); i++)
        assert_int_equal(rtc_register(&rtc, indices[i]), bcd[i]);
    rtc_bus_ops.write(&rtc, 0, 0x8b, 1); /* the NMI bit is no part of the index */
    rtc_bus_ops.write(&rtc, 1, 0xff, 1);
    assert_int_equal(rtc_register(&rtc, 0x0b), 0x06);
    for (size_t i = 0; i < sizeof(indices); i++)
        assert_int_equal(rtc_register(&rtc, indices[i]), binary[i]);
    /* Twelve hours, afternoon and midnight. */
    rtc_bus_ops.write(&rtc, 0, 0x0b, 1);
    rtc_bus_ops.write(&rtc, 1, 0, 1);
    assert_int_equal(rtc_register(&rtc, 4), 0x91);
    rtc_time -= 23 * 3600;
    assert_int_equal(rtc_register(&rtc, 4), 0x12);
    assert_int_equal(rtc_register(&rtc, 0x0a), 0x26);
    assert_int_equal(rtc_register(&rtc, 0x0d), 0x80);
    /* The time is the host's: what is written is not kept. */
    rtc_bus_ops.write(&rtc, 0, 9, 1);
    rtc_bus_ops.write(&rtc, 1, 0x55, 1);
    assert_int_equal(rtc_register(&rtc, 9), 0x27);
    assert_int_equal(rtc_bus_ops.read(&rtc, 0, 1), UINT64_MAX);
    rtc_restore(&rtc, 0xffffff84, 0xffffffff);
    assert_int_equal(rtc_bus_ops.read(&rtc, 1, 1), 0);
    assert_int_equal(rtc_register(&rtc, 0x0b), 0x06);
}

static void test_power(void **state)
{
    int irq = eventfd(0, EFD_NONBLOCK);
    struct power power = {.irq_fd = irq, .event = on_power};

    (void)state;
    memset(power_events, 0, sizeof(power_events));
    power_bus_ops.write(&power, 0, 0x14, 1); /* S5 without SLP_EN */
    power_bus_ops.write(&power, 0, 0x30, 1); /* S4 */
    power_bus_ops.write(&power, 2, 2, 1);
    power_bus_ops.write(&power, 5, 2, 1); /* kdump ran */
    i8042_status_bus_ops.write(&power, 0, 0xd1, 1);
    assert_int_equal(power_events[0] + power_events[1] + power_events[2], 0);
    power_bus_ops.write(&power, 0, 0x34, 1);
    assert_int_equal(power_events[POWER_EVENT_OFF], 1);
    power_bus_ops.write(&power, 2, 1, 1);
    power_bus_ops.write(&power, 3, 0, 1);
    i8042_status_bus_ops.write(&power, 0, 0xfe, 1);
    assert_int_equal(power_events[POWER_EVENT_RESET], 3);
    power_bus_ops.write(&power, 5, 1, 1);
    assert_int_equal(power_events[POWER_EVENT_PANIC], 1);
    assert_int_equal(i8042_status_bus_ops.read(&power, 0, 1), 0);

    assert_int_equal(power_bus_ops.read(&power, 4, 1), 0);
    power_press_button(&power);
    assert_true(was_raised(irq));
    assert_int_equal(power_bus_ops.read(&power, 4, 1), POWER_EVENT_BUTTON);
    assert_int_equal(power_bus_ops.read(&power, 4, 1), 0);
    close(irq);
}

/* ---- PCI ---- */

static uint64_t moved_to;
static unsigned int moves;

static void on_moved(struct pci_device *device, uint64_t gpa)
{
    (void)device;
    moved_to = gpa;
    moves++;
}

static uint64_t bar_read(struct pci_device *device, uint64_t offset, unsigned int size)
{
    return note_read(device, offset, size);
}

static void bar_write(struct pci_device *device, uint64_t offset, uint64_t value, unsigned int size)
{
    note_write(device, offset, value, size);
}

static const struct pci_device_ops device_ops = {
    .moved = on_moved, .bar_read = bar_read, .bar_write = bar_write};

enum { WINDOW = 0xc0000000, WINDOW_SIZE = 0x100000, BAR = 0x8000, SLOT = 0x8000 /* in the ECAM */ };

static uint32_t config(struct pci_bus *bus, unsigned int offset, unsigned int size)
{
    return (uint32_t)pci_ecam_bus_ops.read(bus, SLOT + offset, size);
}

static void set_config(struct pci_bus *bus, unsigned int offset, uint32_t value, unsigned int size)
{
    pci_ecam_bus_ops.write(bus, SLOT + offset, value, size);
}

static void test_pci(void **state)
{
    struct pci_device device = {.bar_size = BAR};
    struct pci_bus bus;

    (void)state;
    pci_bus_init(&bus, WINDOW, WINDOW_SIZE);
    pci_device_init(&device, &device_ops, 0x1af4, 0x1042, 1, 0x018000);
    assert_int_equal(pci_add_capability(&device, 9, 16), 0x40);
    assert_int_equal(pci_add_capability(&device, 17, 12), 0x50);
    assert_int_equal(pci_add_capability(&device, 9, 200), -ENOSPC);
    assert_int_equal(pci_bus_add(&bus, &device), 0);
    assert_int_equal(device.requester, 1 << 3); /* behind the bridge */

    /* By ECAM and by ports; absent slots, functions and odd accesses. */
    assert_int_equal(config(&bus, 0, 4), 0x10421af4);
    assert_int_equal(config(&bus, 2, 2), 0x1042);
    pci_port_bus_ops.write(&bus, 0, 0x80000800, 4);
    assert_int_equal(pci_port_bus_ops.read(&bus, 4, 4), 0x10421af4);
    assert_int_equal(pci_port_bus_ops.read(&bus, 6, 2), 0x1042);
    pci_port_bus_ops.write(&bus, 0, 0x00000800, 4);
    assert_int_equal((uint32_t)pci_port_bus_ops.read(&bus, 4, 4), UINT32_MAX);
    assert_int_equal((uint32_t)pci_ecam_bus_ops.read(&bus, SLOT + 0x1000, 4), UINT32_MAX);
    assert_int_equal((uint32_t)pci_ecam_bus_ops.read(&bus, 0xff000, 4), UINT32_MAX);
    assert_int_equal(config(&bus, 0x100, 4), 0);
    assert_int_equal(config(&bus, 0xffe, 4), 0);
    assert_int_equal(config(&bus, 0xfe, 4), 0);
    assert_int_equal(config(&bus, 0x34, 1), 0x40);
    assert_int_equal(config(&bus, 0x40, 2), 0x5009);

    /* Identity cannot be written; the BAR tells its size. */
    set_config(&bus, 0, 0, 4);
    assert_int_equal(config(&bus, 0, 4), 0x10421af4);
    assert_int_equal(config(&bus, PCI_BASE_ADDRESS_0, 4), WINDOW);
    set_config(&bus, PCI_BASE_ADDRESS_0, UINT32_MAX, 4);
    assert_int_equal(config(&bus, PCI_BASE_ADDRESS_0, 4), (uint32_t) ~(BAR - 1));
    set_config(&bus, PCI_BASE_ADDRESS_0, WINDOW, 4);
    assert_int_equal(moves, 0);

    /* Decoded only when enabled, and followed where the guest moves it. */
    accesses = 0;
    assert_true(pci_window_bus_ops.read(&bus, 8, 4) == UINT64_MAX);
    set_config(&bus, PCI_COMMAND, PCI_COMMAND_MEMORY, 2);
    assert_int_equal(moved_to, WINDOW);
    (void)pci_window_bus_ops.read(&bus, 8, 4);
    assert_int_equal(accesses, 1);
    assert_int_equal(last_offset, 8);
    set_config(&bus, PCI_BASE_ADDRESS_0, WINDOW + 0x40000, 4);
    assert_int_equal(moved_to, WINDOW + 0x40000);
    pci_window_bus_ops.write(&bus, 8, 1, 4);
    assert_int_equal(accesses, 1);
    pci_window_bus_ops.write(&bus, 0x40010, 1, 4);
    assert_int_equal(last_offset, 0x10);
    accesses = 0;
    (void)pci_window_bus_ops.read(&bus, 0x40000 + BAR - 4, 8);
    (void)pci_window_bus_ops.read(&bus, 0x40000 - 4, 8);
    assert_int_equal(accesses, 0);

    /* Outside the window it is decoded nowhere: RAM and interrupt controllers stay themselves. */
    set_config(&bus, PCI_BASE_ADDRESS_0, 0xfee00000, 4);
    assert_int_equal(moved_to, 0);
    set_config(&bus, PCI_BASE_ADDRESS_0, 0x1000000, 4);
    assert_int_equal(moved_to, 0);
    set_config(&bus, PCI_BASE_ADDRESS_0, WINDOW + WINDOW_SIZE - BAR, 4);
    assert_int_equal(moved_to, WINDOW + WINDOW_SIZE - BAR);
    set_config(&bus, PCI_COMMAND, 0, 2);
    assert_int_equal(moved_to, 0);
    pci_bus_fini(&bus);
}

static void test_pci_full(void **state)
{
    struct pci_device *devices = calloc(PCI_MAX_DEVICES + 1, sizeof(*devices));
    struct pci_bus bus;
    unsigned int added = 0;

    (void)state;
    assert_non_null(devices);
    pci_bus_init(&bus, WINDOW, WINDOW_SIZE);
    for (unsigned int i = 0; i < PCI_MAX_DEVICES + 1; i++) {
        devices[i].bar_size = WINDOW_SIZE / 16;
        if (pci_bus_add(&bus, &devices[i]) == 0)
            added++;
    }
    assert_int_equal(added, 16); /* the window is full */
    for (unsigned int i = added; i < PCI_MAX_DEVICES + 1; i++) {
        devices[i].bar_size = 0;
        if (pci_bus_add(&bus, &devices[i]) == 0)
            added++;
    }
    assert_int_equal(added, PCI_MAX_DEVICES - 1); /* beside the bridge */
    pci_bus_fini(&bus);
    free(devices);
}

/* ---- MSI-X, with a hypervisor that only notes ---- */

static struct {
    int attached_fd;
    uint16_t requester;
    uint64_t address;
    uint32_t data;
    unsigned int attaches, detaches;
} line[4];

static int fake_alloc(void *vm)
{
    int *next = vm;

    return *next < 4 ? (*next)++ : -ENOSPC;
}

static int fake_attach(void *vm, int number, uint16_t requester, uint64_t address, uint32_t data,
                       int fd)
{
    (void)vm;
    assert_int_equal(line[number].attached_fd, -1);
    line[number].attached_fd = fd;
    line[number].requester = requester;
    line[number].address = address;
    line[number].data = data;
    line[number].attaches++;
    return 0;
}

static int fake_detach(void *vm, int number, int fd)
{
    (void)vm;
    assert_int_equal(line[number].attached_fd, fd);
    line[number].attached_fd = -1;
    line[number].detaches++;
    return 0;
}

static void fake_free(void *vm, int number)
{
    (void)vm, (void)number;
}

static const struct vm_ops fake_ops = {.msi_alloc = fake_alloc,
                                       .msi_free = fake_free,
                                       .msi_attach = fake_attach,
                                       .msi_detach = fake_detach};

static void test_msix(void **state)
{
    struct msix msix;
    int next = 0;

    (void)state;
    for (unsigned int i = 0; i < 4; i++)
        line[i].attached_fd = -1;
    assert_int_equal(msix_init(&msix, 2, &fake_ops, &next), 0);
    assert_int_equal(msix_vector_fd(&msix, 2), -1);
    assert_int_equal(msix_vector_fd(&msix, 0xffff), -1);
    msix.requester = 0x18;

    msix_table_write(&msix, 16, 0xfee00000, 4);
    msix_table_write(&msix, 20, 0x1, 4);
    msix_table_write(&msix, 24, UINT64_C(0x0000000000004041), 8); /* data, and unmasked */
    assert_int_equal(line[1].attaches, 0);                        /* not enabled yet */
    msix_set_control(&msix, PCI_MSIX_FLAGS_ENABLE);
    assert_int_equal(line[1].attached_fd, msix_vector_fd(&msix, 1));
    assert_true(line[1].address == UINT64_C(0x1fee00000));
    assert_int_equal(line[1].data, 0x4041);
    assert_int_equal(line[1].requester, 0x18);
    assert_int_equal(line[0].attaches, 0); /* still masked */

    /* Masked: interrupts stay pending in the eventfd, and are seen as such. */
    msix_table_write(&msix, 28, 1, 4);
    assert_int_equal(line[1].attached_fd, -1);
    assert_true(msix_pending(&msix) == 0);
    assert_int_equal(eventfd_write(msix_vector_fd(&msix, 1), 1), 0);
    assert_true(msix_pending(&msix) == 2);
    msix_table_write(&msix, 28, 0, 4);
    assert_int_equal(line[1].attached_fd, msix_vector_fd(&msix, 1));
    msix_set_control(&msix, PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);
    assert_int_equal(line[1].attached_fd, -1);
    msix_set_control(&msix, PCI_MSIX_FLAGS_ENABLE);

    /* A message changed while it may fire. */
    msix_table_write(&msix, 24, 0x4042, 4);
    assert_int_equal(line[1].data, 0x4042);
    assert_int_equal(msix_table_read(&msix, 24, 4), 0x4042);
    assert_true(msix_table_read(&msix, 16, 8) == UINT64_C(0x1fee00000));
    /* Odd sizes and alignments do nothing. */
    msix_table_write(&msix, 25, 0, 1);
    msix_table_write(&msix, 18, 0, 4);
    msix_table_write(&msix, 20, 0, 8);
    assert_int_equal(msix_table_read(&msix, 24, 4), 0x4042);
    assert_true(msix_table_read(&msix, 16, 8) == UINT64_C(0x1fee00000));
    msix_fini(&msix);
    assert_int_equal(line[1].attached_fd, -1);

    assert_int_equal(msix_init(&msix, 3, &fake_ops, &next), -ENOSPC);
    msix_fini(&msix);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bus),         cmocka_unit_test(test_serial),
        cmocka_unit_test(test_serial_echo), cmocka_unit_test(test_power),
        cmocka_unit_test(test_rtc),         cmocka_unit_test(test_pci),
        cmocka_unit_test(test_pci_full),    cmocka_unit_test(test_msix),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/* Implements the power registers. */
#include "kvm/hw/power.h"

#include <sys/eventfd.h>

enum {
    SLEEP_ENABLE = 0x20, /* SLP_EN */
    SLEEP_TYPE_SHIFT = 2,
    SLEEP_TYPE_MASK = 7,
    PVPANIC_PANICKED = 0x01,
    PVPANIC_CRASH_LOADED = 0x02,
    I8042_PULSE_RESET = 0xfe,
};

void power_tell(struct power *power, unsigned int event)
{
    atomic_fetch_or(&power->pending, event);
    (void)eventfd_write(power->irq_fd, 1);
}

void power_press_button(struct power *power)
{
    power_tell(power, POWER_EVENT_BUTTON);
}

static uint64_t power_read(void *opaque, uint64_t offset, unsigned int size)
{
    struct power *power = opaque;

    (void)size;
    switch (POWER_PORT_BASE + offset) {
    case POWER_PORT_EVENT:
        return atomic_exchange(&power->pending, 0);
    case POWER_PORT_PVPANIC:
        return PVPANIC_PANICKED | PVPANIC_CRASH_LOADED; /* the events we know */
    default:
        return 0;
    }
}

static void power_write(void *opaque, uint64_t offset, uint64_t value, unsigned int size)
{
    struct power *power = opaque;

    (void)size;
    switch (POWER_PORT_BASE + offset) {
    case POWER_PORT_SLEEP:
        if ((value & SLEEP_ENABLE) != 0 &&
            (value >> SLEEP_TYPE_SHIFT & SLEEP_TYPE_MASK) == POWER_SLEEP_TYPE)
            power->event(power->opaque, POWER_EVENT_OFF, "ACPI S5");
        break;
    case POWER_PORT_RESET:
        if ((value & 0xff) == POWER_RESET_VALUE)
            power->event(power->opaque, POWER_EVENT_RESET, "ACPI reset register");
        break;
    case POWER_PORT_STUB:
        power->event(power->opaque, POWER_EVENT_RESET, "reset vector");
        break;
    case POWER_PORT_PVPANIC:
        /* A kernel with a crash kernel loaded announces only that: it reboots into it by itself. */
        if ((value & PVPANIC_PANICKED) != 0)
            power->event(power->opaque, POWER_EVENT_PANIC, "pvpanic");
        break;
    }
}

const struct bus_ops power_bus_ops = {.read = power_read, .write = power_write};

/*
 * The status register must read 0: all ones would mean "input buffer full", for
 * which Linux waits 64 ms at a time before each of its tries to reset by keyboard.
 */
static uint64_t i8042_read(void *opaque, uint64_t offset, unsigned int size)
{
    (void)opaque, (void)offset, (void)size;
    return 0;
}

static void i8042_command(void *opaque, uint64_t offset, uint64_t value, unsigned int size)
{
    struct power *power = opaque;

    (void)offset, (void)size;
    if ((value & 0xff) == I8042_PULSE_RESET)
        power->event(power->opaque, POWER_EVENT_RESET, "keyboard controller");
}

const struct bus_ops i8042_data_bus_ops = {.read = i8042_read};
const struct bus_ops i8042_status_bus_ops = {.read = i8042_read, .write = i8042_command};

/* SPDX-License-Identifier: MIT */
/* crosh-vm with a bug: a device on three ports whose guest can make it jump where it likes. */

/*
 * The device keeps eight bytes for its guest, and behind them, in the same structure, a
 * pointer to what is to be done when its bell is rung. The index into the bytes is not
 * checked, so a guest reads the pointer and puts another in its place: as an information
 * leak and an overflow would in a real one. The rest is the launcher itself, confined as ever;
 * only that it takes whatever KVM there is.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "kvm/backend/kvm-machine.h"
#include "tests/kvm/attacks.h"

enum { PORT_DATA = 0x510, PORT_INDEX = 0x512, PORT_BELL = 0x513, TABLE_SIZE = 2 + ATTACKS };

uint64_t __real_bus_read(const struct bus *bus, uint64_t address, unsigned int size);
void __real_bus_write(const struct bus *bus, uint64_t address, uint64_t value, unsigned int size);
uint64_t __wrap_bus_read(const struct bus *bus, uint64_t address, unsigned int size);
void __wrap_bus_write(const struct bus *bus, uint64_t address, uint64_t value, unsigned int size);
int __wrap_kvm_probe(struct crosh_error *err);

static void no_attack(void)
{
}

static volatile uintptr_t nowhere = 0x123;

static void touch_nothing(void)
{
    *(volatile int *)nowhere = 0;
}

/* What lies about in a program's memory. */
static attack_fn *table[TABLE_SIZE];

static struct {
    uint8_t bytes[8];
    attack_fn *const *on_bell;
} device = {.on_bell = table};
static uint8_t device_index;

uint64_t __wrap_bus_read(const struct bus *bus, uint64_t address, unsigned int size)
{
    uint8_t byte;

    if (address != PORT_DATA)
        return __real_bus_read(bus, address, size);
    memcpy(&byte, (const uint8_t *)&device + device_index % sizeof(device), 1);
    return byte;
}

void __wrap_bus_write(const struct bus *bus, uint64_t address, uint64_t value, unsigned int size)
{
    const uint8_t byte = (uint8_t)value;

    if (address == PORT_INDEX)
        device_index = byte;
    else if (address == PORT_DATA)
        memcpy((uint8_t *)&device + device_index % sizeof(device), &byte, 1);
    else if (address == PORT_BELL)
        (*device.on_bell)();
    else
        __real_bus_write(bus, address, value, size);
}

/* Its guests are a few instructions long: a slow KVM will do. */
int __wrap_kvm_probe(struct crosh_error *err)
{
    int fd = kvm_open(err);

    table[0] = no_attack;
    for (size_t i = 0; i < ATTACKS; i++)
        table[1 + i] = attacks[i].fn;
    table[1 + ATTACKS] = touch_nothing;
    if (fd < 0)
        return fd;
    (void)close(fd);
    return 0;
}

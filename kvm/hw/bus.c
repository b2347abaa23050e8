/* SPDX-License-Identifier: MIT */
/* Implements the address spaces: a sorted table searched by bisection. */
#include "kvm/hw/bus.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

int bus_add(struct bus *bus, uint64_t base, uint64_t size, const struct bus_ops *ops, void *opaque)
{
    unsigned int at = 0;

    if (size == 0 || base + (size - 1) < base)
        return -EINVAL;
    if (bus->count == BUS_MAX_RANGES)
        return -ENOSPC;
    while (at < bus->count && bus->range[at].base < base)
        at++;
    if (at < bus->count && bus->range[at].base - base < size)
        return -EINVAL;
    if (at > 0 && base - bus->range[at - 1].base < bus->range[at - 1].size)
        return -EINVAL;
    memmove(&bus->range[at + 1], &bus->range[at], (bus->count - at) * sizeof(bus->range[0]));
    bus->range[at] = (struct bus_range){.base = base, .size = size, .ops = ops, .opaque = opaque};
    bus->count++;
    return 0;
}

/* The range that holds the whole access, or NULL. */
static const struct bus_range *find(const struct bus *bus, uint64_t address, unsigned int size)
{
    unsigned int low = 0, high = bus->count;

    while (low < high) {
        unsigned int middle = low + (high - low) / 2;
        const struct bus_range *range = &bus->range[middle];

        if (address < range->base)
            high = middle;
        else if (address - range->base >= range->size)
            low = middle + 1;
        else
            return size <= range->size - (address - range->base) ? range : NULL;
    }
    return NULL;
}

static uint64_t size_mask(unsigned int size)
{
    return size >= 8 ? UINT64_MAX : (UINT64_C(1) << (size * 8)) - 1;
}

uint64_t bus_read(const struct bus *bus, uint64_t address, unsigned int size)
{
    const struct bus_range *range = find(bus, address, size);
    uint64_t value = UINT64_MAX;

    if (range != NULL && range->ops->read != NULL)
        value = range->ops->read(range->opaque, address - range->base, size);
    return value & size_mask(size);
}

void bus_write(const struct bus *bus, uint64_t address, uint64_t value, unsigned int size)
{
    const struct bus_range *range = find(bus, address, size);

    if (range != NULL && range->ops->write != NULL)
        range->ops->write(range->opaque, address - range->base, value & size_mask(size), size);
}

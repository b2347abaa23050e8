/* SPDX-License-Identifier: MIT */
/* An address space (ports or MMIO) as vcpu threads see it: ranges, and who answers there. */
#ifndef KVM_HW_BUS_H
#define KVM_HW_BUS_H

#include <stdint.h>

#define BUS_MAX_RANGES 64

/*
 * What answers in a range. Called from vcpu threads, several at once. offset
 * counts from the range's start; offset + size stays inside the range; size is
 * 1, 2, 4 or 8. Values are little-endian numbers of that size.
 */
struct bus_ops {
    uint64_t (*read)(void *opaque, uint64_t offset, unsigned int size);
    void (*write)(void *opaque, uint64_t offset, uint64_t value, unsigned int size);
};

/*
 * Filled before the first vcpu runs and constant from then on, so that lookups
 * need no lock. Ranges do not overlap and are kept sorted by base.
 */
struct bus {
    struct bus_range {
        uint64_t base, size;
        const struct bus_ops *ops;
        void *opaque;
    } range[BUS_MAX_RANGES];
    unsigned int count;
};

/* 0; -EINVAL when the range is empty, wraps or overlaps another; -ENOSPC. */
int bus_add(struct bus *bus, uint64_t base, uint64_t size, const struct bus_ops *ops, void *opaque);

/* One access. What nobody claims reads as all ones and swallows writes, as on a real bus. */
uint64_t bus_read(const struct bus *bus, uint64_t address, unsigned int size);
void bus_write(const struct bus *bus, uint64_t address, uint64_t value, unsigned int size);

#endif

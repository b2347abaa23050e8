/* SPDX-License-Identifier: MIT */
/* Implements the guest memory map. */
#include "kvm/guest-memory.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define HUGE_PAGE    (UINT64_C(2) << 20)
#define REPLACED_MAX 8192

int guest_memory_add(struct guest_memory *memory, uint64_t gpa, uint64_t size, void *host,
                     uint64_t user_addr)
{
    unsigned int at = 0;

    if (size == 0 || gpa + size < gpa || user_addr + size < user_addr)
        return -EINVAL;
    if (memory->count == GUEST_MEMORY_MAX_REGIONS)
        return -ENOSPC;
    while (at < memory->count && memory->region[at].gpa < gpa)
        at++;
    if (at > 0 && memory->region[at - 1].gpa + memory->region[at - 1].size > gpa)
        return -EINVAL;
    if (at < memory->count && gpa + size > memory->region[at].gpa)
        return -EINVAL;
    memmove(&memory->region[at + 1], &memory->region[at],
            (memory->count - at) * sizeof(memory->region[0]));
    memory->region[at] = (struct guest_memory_region){
        .gpa = gpa, .size = size, .host = host, .user_addr = user_addr};
    memory->count++;
    return 0;
}

/* Whether size bytes at offset start..end lie within a length; written so that nothing wraps. */
static bool is_inside(uint64_t offset, uint64_t size, uint64_t length)
{
    return offset < length && size <= length - offset;
}

void *guest_memory_at(const struct guest_memory *memory, uint64_t gpa, uint64_t size)
{
    if (size == 0)
        return NULL;
    for (unsigned int i = 0; i < memory->count; i++) {
        const struct guest_memory_region *region = &memory->region[i];

        if (gpa >= region->gpa && is_inside(gpa - region->gpa, size, region->size))
            return region->host + (gpa - region->gpa);
    }
    return NULL;
}

bool guest_memory_from_user(const struct guest_memory *memory, uint64_t user_addr, uint64_t size,
                            uint64_t *gpa)
{
    for (unsigned int i = 0; i < memory->count && size != 0; i++) {
        const struct guest_memory_region *region = &memory->region[i];

        if (user_addr >= region->user_addr &&
            is_inside(user_addr - region->user_addr, size, region->size)) {
            *gpa = region->gpa + (user_addr - region->user_addr);
            return true;
        }
    }
    return false;
}

static int drop(uint8_t *from, uint8_t *to, int advice)
{
    return from < to && madvise(from, (size_t)(to - from), advice) < 0 ? -errno : 0;
}

static uint8_t *round_up(uint8_t *at, uint64_t unit)
{
    return at + (-(uintptr_t)at & (unit - 1));
}

static uint8_t *round_down(uint8_t *at, uint64_t unit)
{
    return at - ((uintptr_t)at & (unit - 1));
}

/*
 * Dropping pages of a private file mapping frees them, too, but then the file's old content
 * is there again. The guest must not mind; a snapshot of it would, and the kernel would give
 * it no huge pages there. So large blocks become anonymous memory. Small ones do not: each
 * could cost two mappings, and a process has about 65,000; the unit is such that the whole
 * region cannot cost more than a part of them.
 */
static int replace(const struct guest_memory_region *region, uint8_t *from, uint8_t *to)
{
    uint64_t unit = HUGE_PAGE;
    uint8_t *first, *last;
    int ret, more;

    while (region->size / unit > REPLACED_MAX)
        unit *= 2;
    first = round_up(from, unit);
    last = round_down(to, unit);
    if (first >= last)
        return drop(from, to, MADV_DONTNEED);
    if (mmap(first, (size_t)(last - first), PROT_READ | PROT_WRITE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED)
        return -errno;
    (void)madvise(first, (size_t)(last - first), MADV_HUGEPAGE);
    (void)madvise(first, (size_t)(last - first), MADV_DONTDUMP);
    ret = drop(from, first, MADV_DONTNEED);
    more = drop(last, to, MADV_DONTNEED);
    return ret < 0 ? ret : more;
}

int guest_memory_discard(const struct guest_memory *memory, void *host, uint64_t size)
{
    const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    uint8_t *at = host;

    for (unsigned int i = 0; i < memory->count; i++) {
        const struct guest_memory_region *region = &memory->region[i];
        uint8_t *from, *to;

        if (at < region->host || !is_inside((uint64_t)(at - region->host), size, region->size))
            continue;
        from = round_up(at, page);
        to = round_down(at + size, page);
        if (from >= to)
            return 0;
        switch (region->backing) {
        case GUEST_MEMORY_ANONYMOUS:
            return drop(from, to, MADV_DONTNEED);
        case GUEST_MEMORY_PRIVATE_FILE:
            return replace(region, from, to);
        case GUEST_MEMORY_SHARED:
            return drop(from, to, MADV_REMOVE);
        }
    }
    return -EINVAL;
}

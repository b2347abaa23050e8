/* SPDX-License-Identifier: MIT */
/* Implements the guest memory map. */
#include "kvm/guest-memory.h"

#include <errno.h>
#include <string.h>

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

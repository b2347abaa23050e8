/* SPDX-License-Identifier: MIT */
/* The guest memory map: the one checked path from a guest physical address to a host pointer. */
#ifndef KVM_GUEST_MEMORY_H
#define KVM_GUEST_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GUEST_MEMORY_MAX_REGIONS 32

/* What is behind a region here, and so what becomes of pages that are dropped. */
enum guest_memory_backing {
    GUEST_MEMORY_ANONYMOUS,    /* private, and zero until it is written to */
    GUEST_MEMORY_PRIVATE_FILE, /* a snapshot's file, mapped privately: the file's content is back */
    GUEST_MEMORY_SHARED,       /* a memfd, mapped shared: it is the file that holds the memory */
};

struct guest_memory_region {
    uint64_t gpa;                      /* guest physical address of the first byte */
    uint64_t size;                     /* bytes; gpa + size never wraps */
    uint8_t *host;                     /* where it is mapped here */
    uint64_t user_addr;                /* where a vhost-user frontend has it mapped; 0 otherwise */
    enum guest_memory_backing backing; /* anonymous unless who adds the region sets it */
};

/* Regions do not overlap; kept sorted by gpa. Changed only while no queue runs. */
struct guest_memory {
    struct guest_memory_region region[GUEST_MEMORY_MAX_REGIONS];
    unsigned int count;
    /* All of it is one file, which other processes may map, too; shared_base is where that file
       is mapped here. */
    bool is_shared;
    int shared_fd;
    uint8_t *shared_base;
};

/* 0; -EINVAL when it is empty, wraps or overlaps; -ENOSPC when the map is full. */
int guest_memory_add(struct guest_memory *memory, uint64_t gpa, uint64_t size, void *host,
                     uint64_t user_addr);

/*
 * The host pointer to size bytes at gpa, all inside one region; NULL otherwise.
 * size 0 is never valid. What it points to changes under the reader's eyes:
 * copy before checking.
 */
void *guest_memory_at(const struct guest_memory *memory, uint64_t gpa, uint64_t size);

/*
 * Gives the host's memory behind size bytes at host, which guest_memory_at() gave, back to
 * the host: whole pages in it lose their content, what they hold then is undefined (but
 * never another process's). From any thread, also while the guest runs. 0, or a negative
 * errno: then less was given back.
 */
int guest_memory_discard(const struct guest_memory *memory, void *host, uint64_t size);

/* Translates a vhost-user frontend's address; false when no region holds size bytes there. */
bool guest_memory_from_user(const struct guest_memory *memory, uint64_t user_addr, uint64_t size,
                            uint64_t *gpa);

#endif

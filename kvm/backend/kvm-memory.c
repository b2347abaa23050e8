/* SPDX-License-Identifier: MIT */
/* The guest's RAM: its mapping here and its slots in KVM. */
#include <errno.h>
#include <fcntl.h>
#include <linux/mman.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kvm/backend/kvm-machine.h"
#include "lib/base/cleanup.h"

#define HUGE_PAGE_SHIFT 21
#define HUGE_PAGE       (UINT64_C(1) << HUGE_PAGE_SHIFT)

/*
 * A file for memory that other processes are given. It is sealed: nobody can cut it
 * short, which would have us killed at the next access.
 */
static int make_file(uint64_t size, bool has_huge_pages, struct crosh_error *err)
{
    unsigned int flags = has_huge_pages ? MFD_HUGETLB | HUGE_PAGE_SHIFT << MAP_HUGE_SHIFT : 0;
    cleanup_close int fd = memfd_create("guest-memory", MFD_CLOEXEC | MFD_ALLOW_SEALING | flags);

    if (fd < 0 || ftruncate(fd, (off_t)size) < 0 ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
        return crosh_error_errno(err, "shared guest memory");
    return move_fd(fd);
}

/*
 * Anonymous memory where it need not be shared (fd -1), because by default Linux gives
 * huge pages to anonymous memory that asks for them but not to a memfd: 2 MiB pages cost
 * the guest's boot ten times fewer page faults. Aligned to them for the same reason.
 */
static uint8_t *map_aligned(uint64_t size, int fd, bool has_huge_pages, struct crosh_error *err)
{
    uint8_t *map =
        mmap(NULL, size + HUGE_PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    int flags = fd >= 0 ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS;
    uint8_t *start;

    if (map == MAP_FAILED) {
        crosh_error_errno(err, "guest memory");
        return NULL;
    }
    start = (uint8_t *)(((uintptr_t)map + HUGE_PAGE - 1) & ~(uintptr_t)(HUGE_PAGE - 1));
    if (start > map)
        (void)munmap(map, (size_t)(start - map));
    if (map + HUGE_PAGE > start)
        (void)munmap(start + size, (size_t)(map + HUGE_PAGE - start));
    /* Only now is it accounted for, and refused if the host cannot have that much. */
    if (has_huge_pages && fd < 0)
        flags |= MAP_HUGETLB | HUGE_PAGE_SHIFT << MAP_HUGE_SHIFT;
    if (mmap(start, size, PROT_READ | PROT_WRITE, flags | MAP_FIXED, fd, 0) == MAP_FAILED) {
        crosh_error_errno(err, "%llu MiB of guest memory%s", (unsigned long long)(size >> 20),
                          has_huge_pages ? " in huge pages" : "");
        if (has_huge_pages)
            crosh_error_hint(err,
                             "reserve %llu pages of 2 MiB: sudo sysctl vm.nr_hugepages=%llu, if "
                             "nothing else takes any; or leave --hugepages out",
                             (unsigned long long)(size / HUGE_PAGE),
                             (unsigned long long)(size / HUGE_PAGE));
        else
            crosh_error_hint(err, "give the VM less memory than the host has");
        (void)munmap(start, size);
        return NULL;
    }
    if (!has_huge_pages)
        (void)madvise(start, size, MADV_HUGEPAGE);
    (void)madvise(start, size, MADV_DONTDUMP);
    return start;
}

static int add_slot(struct machine *machine, uint64_t gpa, uint64_t size, uint8_t *host,
                    enum guest_memory_backing backing, struct crosh_error *err)
{
    struct kvm_userspace_memory_region slot = {.slot = machine->memory.count,
                                               .guest_phys_addr = gpa,
                                               .memory_size = size,
                                               .userspace_addr = (uintptr_t)host};
    int code = guest_memory_add(&machine->memory, gpa, size, host, 0);

    if (code < 0)
        return crosh_error_set(err, code, "guest memory map");
    for (unsigned int i = 0; i < machine->memory.count; i++)
        machine->memory.region[i].backing = backing;
    if (ioctl(machine->vm_fd, KVM_SET_USER_MEMORY_REGION, &slot) < 0)
        return crosh_error_errno(err, "KVM_SET_USER_MEMORY_REGION");
    return 0;
}

int kvm_memory_init(struct machine *machine, const struct machine_config *config,
                    struct crosh_error *err)
{
    uint64_t bytes = config->memory_bytes;
    uint64_t below = LAYOUT_HOLE_START - LAYOUT_RAM;
    uint64_t low = bytes < below ? bytes : below;
    enum guest_memory_backing backing = config->shared_memory     ? GUEST_MEMORY_SHARED
                                        : config->restore != NULL ? GUEST_MEMORY_PRIVATE_FILE
                                                                  : GUEST_MEMORY_ANONYMOUS;
    cleanup_close int fd = -1;
    uint8_t *host;
    int code;

    if (bytes < HUGE_PAGE || bytes % HUGE_PAGE != 0)
        return crosh_error_set(err, -EINVAL, "memory size must be a multiple of 2 MiB");
    if (config->shared_memory) {
        fd = make_file(bytes, config->has_huge_pages, err);
        if (fd < 0)
            return fd;
    }
    if (config->has_huge_pages && config->restore != NULL)
        return crosh_error_set(err, -EOPNOTSUPP,
                               "a snapshot's memory cannot be in reserved huge pages");
    host = map_aligned(bytes, fd, config->has_huge_pages, err);
    if (host == NULL)
        return -ENOMEM;
    if (fd >= 0) {
        machine->memory.is_shared = true;
        machine->memory.shared_fd = move_fd(fd);
        machine->memory.shared_base = host;
    }
    if (config->restore == NULL)
        code = 0;
    else if (config->shared_memory)
        code = snapshot_copy_memory(config->restore, host, bytes, err);
    else
        code = snapshot_map_memory(config->restore, host, bytes, err);
    if (code == 0)
        code = add_slot(machine, LAYOUT_RAM, low, host, backing, err);
    if (machine->memory.count == 0)
        (void)munmap(host, bytes);
    if (code == 0 && bytes > low)
        code = add_slot(machine, LAYOUT_HOLE_END, bytes - low, host + low, backing, err);
    return code;
}

void kvm_memory_fini(struct machine *machine)
{
    for (unsigned int i = 0; i < machine->memory.count; i++)
        (void)munmap(machine->memory.region[i].host, machine->memory.region[i].size);
    machine->memory.count = 0;
    if (machine->memory.is_shared)
        (void)close(machine->memory.shared_fd);
    machine->memory.is_shared = false;
}

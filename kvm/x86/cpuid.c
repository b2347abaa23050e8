/* SPDX-License-Identifier: MIT */
/* What CPUID tells the guest: the host's answers, with this machine's topology. */
#include "kvm/x86/cpu.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/ioctl.h>

enum {
    MAX_ENTRIES = 256,
    ADDED_ENTRIES = 2, /* by cpu_complete_cpuid() */

    LEAF_FEATURES = 0x1,
    LEAF_CACHE = 0x4,
    LEAF_TOPOLOGY = 0xb,
    LEAF_TOPOLOGY_V2 = 0x1f,

    FEATURES_ECX_VMX = 1 << 5,
    FEATURES_ECX_TSC_DEADLINE = 1 << 24,
    FEATURES_EDX_HTT = 1 << 28, /* more than one logical processor in the package */

    AMD_FEATURES_ECX_SVM = 1 << 2,

    LEVEL_TYPE_THREAD = 1,
    LEVEL_TYPE_CORE = 2,
};
#define FEATURES_ECX_HYPERVISOR (1u << 31)
#define LEAF_AMD_FEATURES       0x80000001u
#define LEAF_AMD_SIZES          0x80000008u
#define LEAF_AMD_CACHE          0x8000001du
#define LEAF_AMD_TOPOLOGY       0x8000001eu

/*
 * Newer KVMs list only subleaf 0 of the topology leaves, which means "no topology":
 * Linux would take each vcpu for a package. Adds the core level where it lacks.
 */
static void complete_topology(struct kvm_cpuid2 *cpuid, uint32_t leaf)
{
    bool has_leaf = false;

    for (uint32_t i = 0; i < cpuid->nent; i++) {
        if (cpuid->entries[i].function != leaf)
            continue;
        if (cpuid->entries[i].index == 1)
            return;
        has_leaf = true;
    }
    if (has_leaf)
        cpuid->entries[cpuid->nent++] = (struct kvm_cpuid_entry2){
            .function = leaf, .index = 1, .flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX};
}

void cpu_complete_cpuid(struct kvm_cpuid2 *cpuid)
{
    complete_topology(cpuid, LEAF_TOPOLOGY);
    complete_topology(cpuid, LEAF_TOPOLOGY_V2);
}

struct kvm_cpuid2 *cpu_supported_cpuid(int kvm_fd, struct crosh_error *err)
{
    struct kvm_cpuid2 *cpuid =
        calloc(1, sizeof(*cpuid) + (MAX_ENTRIES + ADDED_ENTRIES) * sizeof(struct kvm_cpuid_entry2));

    if (cpuid == NULL) {
        crosh_error_set(err, -ENOMEM, "out of memory");
        return NULL;
    }
    cpuid->nent = MAX_ENTRIES;
    if (ioctl(kvm_fd, KVM_GET_SUPPORTED_CPUID, cpuid) < 0) {
        crosh_error_errno(err, "KVM_GET_SUPPORTED_CPUID");
        free(cpuid);
        return NULL;
    }
    cpu_complete_cpuid(cpuid);
    return cpuid;
}

/* Bits needed to number count things. */
static unsigned int width(unsigned int count)
{
    unsigned int bits = 0;

    while (1u << bits < count)
        bits++;
    return bits;
}

/* Extended topology: threads (one per core), then cores. */
static void patch_topology(struct kvm_cpuid_entry2 *entry, unsigned int index, unsigned int count)
{
    entry->eax = entry->ebx = entry->ecx = 0;
    entry->edx = index; /* x2APIC id */
    if (entry->index == 0) {
        entry->ebx = 1;
        entry->ecx = LEVEL_TYPE_THREAD << 8;
    } else if (entry->index == 1) {
        entry->eax = width(count);
        entry->ebx = count;
        entry->ecx = LEVEL_TYPE_CORE << 8 | 1;
    } else {
        entry->ecx = entry->index & 0xff; /* invalid level: the end */
    }
}

/* Which CPUs share a cache: the last level is everybody's, the others one core's. */
static uint32_t sharing(uint32_t eax, unsigned int count)
{
    uint32_t level = eax >> 5 & 7;
    uint32_t sharers = level >= 3 ? (1u << width(count)) - 1 : 0;

    return (eax & ~(0xfffu << 14)) | sharers << 14;
}

static void patch_entry(struct kvm_cpuid_entry2 *entry, unsigned int index, unsigned int count,
                        int has_tsc_deadline)
{
    switch (entry->function) {
    case LEAF_FEATURES:
        entry->ebx = (entry->ebx & 0xffff) | count << 16 | index << 24;
        entry->ecx |= FEATURES_ECX_HYPERVISOR;
        /* No VMs within VMs: much of the host's kernel that a guest need not reach. */
        entry->ecx &= ~(uint32_t)FEATURES_ECX_VMX;
        if (has_tsc_deadline)
            entry->ecx |= FEATURES_ECX_TSC_DEADLINE;
        entry->edx =
            count > 1 ? entry->edx | FEATURES_EDX_HTT : entry->edx & ~(uint32_t)FEATURES_EDX_HTT;
        break;
    case LEAF_CACHE:
        if ((entry->eax & 0x1f) != 0)
            entry->eax = (sharing(entry->eax, count) & 0x03ffffffu) | ((1u << width(count)) - 1)
                                                                          << 26;
        break;
    case LEAF_TOPOLOGY:
    case LEAF_TOPOLOGY_V2:
        patch_topology(entry, index, count);
        break;
    case LEAF_AMD_FEATURES:
        entry->ecx &= ~(uint32_t)AMD_FEATURES_ECX_SVM;
        break;
    case LEAF_AMD_SIZES:
        /* Cores in the package less one; how many APIC id bits number them. */
        entry->ecx = (entry->ecx & ~0xf0ffu) | width(count) << 12 | (count - 1);
        break;
    case LEAF_AMD_CACHE:
        if ((entry->eax & 0x1f) != 0)
            entry->eax = sharing(entry->eax, count);
        break;
    case LEAF_AMD_TOPOLOGY:
        entry->eax = index;
        entry->ebx = index; /* one thread per core */
        entry->ecx = 0;     /* one node */
        break;
    }
}

void cpu_patch_cpuid(struct kvm_cpuid2 *cpuid, unsigned int index, unsigned int count,
                     int has_tsc_deadline)
{
    for (uint32_t i = 0; i < cpuid->nent; i++)
        patch_entry(&cpuid->entries[i], index, count, has_tsc_deadline);
}

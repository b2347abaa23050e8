/* SPDX-License-Identifier: MIT */
/* The device tree that tells an arm64 kernel what machine it is on. */
#ifndef KVM_ARM64_DEVICE_TREE_H
#define KVM_ARM64_DEVICE_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kvm/guest-memory.h"

struct device_tree {
    const char *cmdline;
    uint64_t initrd, initrd_size; /* guest physical; size 0: none */
    unsigned int vcpus;
    const uint64_t *affinity; /* of each vcpu */
    bool has_pci;
    unsigned int mmio_count; /* virtio devices at the places of arch_mmio_place() */
    const struct guest_memory *memory;
    bool is_seeded;
    struct {
        uint8_t rng[32];
        uint64_t kaslr;
    } seed; /* random bits, to be wiped by the caller */
};

/* Writes the flattened tree into size bytes at blob. Pure. -ENOSPC when it does not fit. */
int device_tree_build(const struct device_tree *tree, void *blob, size_t size);

#endif

/* SPDX-License-Identifier: MIT */
/* MSI-X (PCI local bus 3.0 section 6.8.2): message interrupts, each fed by an eventfd. */
#ifndef KVM_HW_MSIX_H
#define KVM_HW_MSIX_H

#include <linux/pci_regs.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "kvm/hw/vm-ops.h"

#define MSIX_MAX_VECTORS  32
#define MSIX_PENDING_SIZE 8 /* bytes of the pending bits: one word */

/*
 * Devices signal a vector's eventfd without knowing more. While the vector may
 * fire, the eventfd is attached to a line of the hypervisor (an irqfd). While it
 * is masked, the eventfd only counts: that count is the pending bit, and attaching
 * it again sends what was missed.
 */
struct msix {
    pthread_mutex_t lock;
    const struct vm_ops *ops;
    void *vm;
    uint16_t requester; /* the device's place on the bus; to be set before the guest runs */
    bool is_enabled, is_masked;
    unsigned int count;
    struct msix_vector {
        uint32_t address_low, address_high, data, control; /* as the driver wrote them */
        int fd;                                            /* eventfd */
        int line;                                          /* of the hypervisor */
        bool is_attached;
    } vector[MSIX_MAX_VECTORS];
};

/* 0, or negative; msix_fini() may follow in either case. count is at most MSIX_MAX_VECTORS. */
int msix_init(struct msix *msix, unsigned int count, const struct vm_ops *ops, void *vm);
void msix_fini(struct msix *msix);

/* The table, from the BAR: offset + size within count * PCI_MSIX_ENTRY_SIZE. */
uint64_t msix_table_read(struct msix *msix, uint64_t offset, unsigned int size);
void msix_table_write(struct msix *msix, uint64_t offset, uint64_t value, unsigned int size);
/* The pending bits. */
uint64_t msix_pending(struct msix *msix);
/* The message control word of the capability was written. */
void msix_set_control(struct msix *msix, uint16_t control);

/* For snapshots: a vector as the driver set it, and whether its message waits to be sent. */
void msix_save_vector(struct msix *msix, unsigned int vector, uint64_t *address, uint32_t *data,
                      uint32_t *control, bool *is_pending);
/* Before msix_set_control(), which puts it into effect. */
void msix_restore_vector(struct msix *msix, unsigned int vector, uint64_t address, uint32_t data,
                         uint32_t control, bool is_pending);

/* The eventfd of a vector; -1 for a number that is none. */
int msix_vector_fd(const struct msix *msix, unsigned int vector);

#endif

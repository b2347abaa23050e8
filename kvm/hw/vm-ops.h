/* SPDX-License-Identifier: MIT */
/* What a device's transport asks of the hypervisor: doorbells and message interrupts. */
#ifndef KVM_HW_VM_OPS_H
#define KVM_HW_VM_OPS_H

#include <stdbool.h>
#include <stdint.h>

#define VM_DOORBELL_ANY (-1)

/* All functions are thread-safe; 0 or a negative errno. */
struct vm_ops {
    /*
     * Writes of the guest to gpa add to the eventfd, or no longer do so: those of the
     * 32-bit number value, or with VM_DOORBELL_ANY all of any size.
     */
    int (*doorbell)(void *vm, uint64_t gpa, int64_t value, int fd, bool attach);
    /* Reserves an interrupt line for one message: its number, or negative. */
    int (*msi_alloc)(void *vm);
    /* Gives it back; it is detached. */
    void (*msi_free)(void *vm, int line);
    /*
     * Every count of the eventfd sends the message; one counted before is sent at once.
     * requester: the sender's bus, device and function, by which some interrupt
     * controllers tell one device's messages from another's.
     */
    int (*msi_attach)(void *vm, int line, uint16_t requester, uint64_t address, uint32_t data,
                      int fd);
    /* The eventfd only counts. */
    int (*msi_detach)(void *vm, int line, int fd);
};

#endif

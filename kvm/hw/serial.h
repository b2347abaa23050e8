/* SPDX-License-Identifier: MIT */
/* A 16550A serial port: the guest's early console. */
#ifndef KVM_HW_SERIAL_H
#define KVM_HW_SERIAL_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kvm/hw/bus.h"
#include "lib/wire/snapshot.pb-c.h"

#define SERIAL_PORTS 8 /* I/O ports that one UART occupies */

struct serial {
    pthread_mutex_t lock;
    int irq_fd; /* eventfd that raises the (edge-triggered) interrupt; not owned */
    /* A byte that the guest sent; called on a vcpu's thread with the lock held. */
    void (*output)(void *opaque, uint8_t byte);
    void *opaque;

    uint8_t ier, lcr, mcr, scr, dll, dlm;
    bool fifo_enabled;
    bool thr_interrupt;  /* the transmitter became empty since the driver last asked */
    uint8_t input[4096]; /* typed and not yet read */
    uint16_t input_head, input_count;
};

extern const struct bus_ops serial_bus_ops; /* opaque: struct serial */

void serial_init(struct serial *serial, int irq_fd, void (*output)(void *opaque, uint8_t byte),
                 void *opaque);
void serial_fini(struct serial *serial);

/* For snapshots, while no vcpu runs: a new message, or NULL without memory. */
Snapshot__Serial *serial_save(struct serial *serial);
/* Raises the interrupt if there is a reason: its edge may have been on its way. */
void serial_restore(struct serial *serial, const Snapshot__Serial *state);

/* Types bytes; from any thread. Returns how many fitted. */
size_t serial_input(struct serial *serial, const void *data, size_t size);

#endif

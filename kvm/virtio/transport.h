/* SPDX-License-Identifier: MIT */
/* What every transport keeps of a device's driver: features, status, queues (virtio 1.2 ch. 2). */
#ifndef KVM_VIRTIO_TRANSPORT_H
#define KVM_VIRTIO_TRANSPORT_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "kvm/hw/vm-ops.h"
#include "kvm/loop-call.h"
#include "kvm/virtio/device.h"
#include "lib/wire/snapshot.pb-c.h"

/*
 * Theory of operation
 *
 * A transport is registers that a driver reads and writes; PCI and MMIO differ in
 * where these lie and in how interrupts go out. What the registers mean is here, once.
 *
 * The driver's accesses come from vcpu threads. The lock serialises them; it may be
 * held for long, as DRIVER_OK and reset wait for the loop's thread to start and stop
 * the device. So the loop's thread never takes it: what that thread has to tell (a
 * changed configuration) goes through atomics and eventfds.
 */

/* What all transports of a machine share. */
struct virtio_host {
    const struct vm_ops *ops;
    void *vm;
    const struct guest_memory *memory;
    struct loop_call *calls;
};

struct virtio_transport;

/* What one kind of transport adds. */
struct virtio_transport_ops {
    /* The eventfd that interrupts the driver for a queue; -1: none. At the start, lock held. */
    int (*queue_call_fd)(struct virtio_transport *t, unsigned int queue);
    /* The same for a changed configuration. From any thread. */
    int (*config_call_fd)(struct virtio_transport *t);
    /* Brings its own registers to their state at power-on; may be NULL. With the lock held. */
    void (*reset)(struct virtio_transport *t);
    /* The driver tells one interrupt from another by isr, so that queues have to note theirs. */
    bool shares_interrupts;
    /* For snapshots: its own registers, beside those that all have; may be NULL. restore comes
       before the device is started. */
    int (*save)(struct virtio_transport *t, Snapshot__Virtio *state, struct crosh_error *err);
    int (*restore)(struct virtio_transport *t, const Snapshot__Virtio *state,
                   struct crosh_error *err);
};

/* Bits of isr (4.1.4.5, 4.2.2). */
enum {
    VIRTIO_ISR_QUEUE = 1,
    VIRTIO_ISR_CONFIG = 2,
};

/* Embedded in each transport's own struct. */
struct virtio_transport {
    const struct virtio_transport_ops *ops;
    struct virtio_host host;
    struct virtio_device *dev;

    pthread_mutex_t lock;
    uint32_t device_feature_select, driver_feature_select;
    uint64_t driver_features;
    uint32_t queue_select;
    uint8_t status;
    bool queue_enabled[VIRTIO_DEVICE_MAX_QUEUES];
    int start_result;                      /* of the last start on the loop's thread */
    int kick_fd[VIRTIO_DEVICE_MAX_QUEUES]; /* constant: doorbells write to them */

    atomic_uint isr;
    atomic_uchar config_generation;
};

/*
 * Makes the eventfds and connects dev to the transport, all at power-on. 0, or a
 * negative errno; virtio_transport_fini() may follow in either case.
 */
int virtio_transport_init(struct virtio_transport *t, const struct virtio_transport_ops *ops,
                          const struct virtio_host *host, struct virtio_device *dev);
/* Stops the device, on the loop's thread. Doorbells are detached before, call_fds closed after. */
void virtio_transport_fini(struct virtio_transport *t);

/* The registers; all with the lock held. Values are numbers of the host's byte order. */

uint32_t virtio_transport_device_features(const struct virtio_transport *t);
uint32_t virtio_transport_driver_features(const struct virtio_transport *t);
void virtio_transport_set_driver_features(struct virtio_transport *t, uint32_t value);
uint8_t virtio_transport_status(const struct virtio_transport *t);
/* A write of 0 resets the device. */
void virtio_transport_set_status(struct virtio_transport *t, uint8_t status);

/* The selected queue; NULL when the device has none of that number. */
const struct virtqueue *virtio_transport_queue(const struct virtio_transport *t);
bool virtio_transport_queue_enabled(const struct virtio_transport *t);
/*
 * The queue whose set-up the driver may change: the selected one until it is enabled,
 * and none from DRIVER_OK to the reset. NULL: the write is to be ignored.
 */
struct virtqueue *virtio_transport_writable_queue(struct virtio_transport *t);
/* A size that is no power of two or too large is refused at the start. */
void virtio_transport_set_queue_size(struct virtio_transport *t, uint32_t size);
/* Enabled queues can be disabled until DRIVER_OK. */
void virtio_transport_enable_queue(struct virtio_transport *t, bool enable);

enum virtio_queue_part { VIRTIO_QUEUE_DESC, VIRTIO_QUEUE_DRIVER, VIRTIO_QUEUE_DEVICE };

/* The addresses come in halves. */
uint32_t virtio_transport_queue_address(const struct virtio_transport *t,
                                        enum virtio_queue_part part, bool high);
void virtio_transport_set_queue_address(struct virtio_transport *t, enum virtio_queue_part part,
                                        bool high, uint32_t value);

/* The device's own configuration; size is 1, 2, 4 or 8. */
uint64_t virtio_transport_config_read(struct virtio_transport *t, uint32_t offset,
                                      unsigned int size);
void virtio_transport_config_write(struct virtio_transport *t, uint32_t offset, uint64_t value,
                                   unsigned int size);

/*
 * Snapshots (transport-state.c), on the loop's thread, while no vcpu runs. save fills
 * a message for a device that is held and quiet. restore brings a transport at power-on
 * and its device into that state, running if it was; the state is not trusted. Without
 * knowing what interrupts were on their way it sends one for each queue.
 */
int virtio_transport_save(struct virtio_transport *t, Snapshot__Virtio *state,
                          struct crosh_error *err);
int virtio_transport_restore(struct virtio_transport *t, const Snapshot__Virtio *state,
                             struct crosh_error *err);

/* transport.c: gives the queues their descriptors for a start; the lock is held or no vcpu runs. */
void virtio_transport_connect_queues(struct virtio_transport *t);

#endif

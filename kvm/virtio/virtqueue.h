/* SPDX-License-Identifier: MIT */
/* Split virtqueues, device side: takes descriptor chains from a guest that is not trusted. */
#ifndef KVM_VIRTIO_VIRTQUEUE_H
#define KVM_VIRTIO_VIRTQUEUE_H

#include <stdatomic.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "kvm/guest-memory.h"

/* Largest queue we offer; virtio 1.2 section 2.7 allows up to 32768. */
#define VIRTQUEUE_MAX_SIZE 256

/* What went through a queue since the device was made. Written by who works on the queue. */
struct virtqueue_figures {
    uint64_t requests;      /* chains given back */
    uint64_t read_bytes;    /* that the device was handed by the guest */
    uint64_t written_bytes; /* that it wrote for the guest */
    uint64_t interrupts;
    uint64_t errors; /* times that the driver broke the rules */
};

/*
 * One queue. The transport (PCI or vhost-user) fills size and addresses before
 * virtqueue_start(), which freezes them; it owns both descriptors. A kick is
 * kick_fd becoming readable; an interrupt is a write to call_fd. So the same
 * device code serves KVM (ioeventfd, irqfd) and a vhost-user frontend.
 */
struct virtqueue {
    /* Set by the transport while the queue is not running. */
    uint16_t size_max;   /* what the device offers */
    uint16_t size;       /* chosen by the driver: power of two, <= size_max */
    uint64_t desc_gpa;   /* descriptor table */
    uint64_t driver_gpa; /* available ring */
    uint64_t device_gpa; /* used ring */
    int kick_fd;         /* -1: none */
    int call_fd;         /* -1: none */
    bool event_idx;      /* VIRTIO_F_EVENT_IDX was negotiated */
    atomic_uint *isr;    /* gets bit 0 before each interrupt; NULL: nobody asks */

    /* The queue's own. */
    struct virtqueue_figures figures; /* they survive a reset */
    const struct guest_memory *memory;
    bool running;
    atomic_bool is_held; /* nothing is given out for now; what was is still taken back */
    int idle_fd;         /* an eventfd, written when a held queue gets back its last chain */
    /* Chains given out and not given back. Atomic as is_held: devices may have threads of
       their own, which take and push under a lock that who holds does not know. */
    _Atomic uint16_t in_flight;
    bool broken;           /* the driver broke the rules: nothing more is taken until reset */
    size_t last_out_bytes; /* of the chain popped last */
    uint16_t last_avail;
    uint16_t used_idx;
    uint16_t signalled_used;     /* used_idx at the last interrupt decision */
    const uint8_t *desc, *avail; /* host pointers, checked at start */
    uint8_t *used;
};

/*
 * A descriptor chain, copied and checked: every segment lies inside guest
 * memory; device-readable segments (out) come before device-writable ones (in).
 */
struct virtqueue_chain {
    uint16_t head;
    unsigned int out_count, in_count;
    struct iovec segment[VIRTQUEUE_MAX_SIZE]; /* out_count, then in_count */
    size_t out_bytes, in_bytes;
};

/* 0; -EINVAL for a size, alignment or address the specification or the memory map forbids. */
int virtqueue_start(struct virtqueue *vq, const struct guest_memory *memory);
/*
 * Resolves the addresses of a running queue again, in another memory map. No
 * chain may be held meanwhile. 0, or -EINVAL: the queue stopped running.
 */
int virtqueue_remap(struct virtqueue *vq, const struct guest_memory *memory);
/* Forgets everything but size_max, the figures and the file descriptors. */
void virtqueue_reset(struct virtqueue *vq);

/*
 * Takes the next available chain: 1; 0 when there is none; -EPROTO when the
 * driver broke the rules (the queue is then broken). A chain taken must be given
 * back with virtqueue_push().
 */
int virtqueue_pop(struct virtqueue *vq, struct virtqueue_chain *chain);
/*
 * For a chain that cannot be served yet: it counts as given back, but the driver does
 * not get it. virtqueue_retake() takes it anew by its head, reading and checking its
 * descriptors once more; returns as virtqueue_pop() does.
 */
void virtqueue_put_off(struct virtqueue *vq);
int virtqueue_retake(struct virtqueue *vq, uint16_t head, struct virtqueue_chain *chain);
/* Puts back the chain popped last, as if never taken; repeatable for the ones before it. */
void virtqueue_unpop(struct virtqueue *vq);
/* How many chains could be taken now; of a driver that breaks the rules, what it claims. */
unsigned int virtqueue_available(const struct virtqueue *vq);
bool virtqueue_has_available(struct virtqueue *vq);

/* Copies and checks the chain that begins at head, whether or not it is available. 0 or -EPROTO. */
int virtqueue_chain_at(const struct virtqueue *vq, uint16_t head, struct virtqueue_chain *chain);
/* Returns a chain with the number of bytes written into its in segments. */
void virtqueue_push(struct virtqueue *vq, uint16_t head, uint32_t written);
/* The two halves of virtqueue_push(), for chains that the driver must come to see all at once. */
void virtqueue_add_used(struct virtqueue *vq, uint16_t head, uint32_t written);
void virtqueue_publish_used(struct virtqueue *vq);
/* Interrupts the driver, whether or not it wants to be. */
void virtqueue_interrupt(struct virtqueue *vq);
/* Interrupts the driver if it wants to know of what was pushed since the last call: whether it
   does. */
bool virtqueue_notify(struct virtqueue *vq);
/* The same; and if it does, of what was pushed to other too, if that is wanted: with one interrupt
   where the queues share it. */
bool virtqueue_notify_with(struct virtqueue *vq, struct virtqueue *other);

/*
 * Asks the driver for kicks (or spares it them). After enabling, look once more
 * with virtqueue_has_available(): a kick may have been spared just before.
 */
void virtqueue_enable_kicks(struct virtqueue *vq, bool enable);
/*
 * For the end of a round of work, finished or cut short for fairness: the device
 * will be kicked when there are more chains, at once if there are some now.
 */
void virtqueue_await_kick(struct virtqueue *vq);

/* What went through it so far; from any thread. */
struct virtqueue_figures virtqueue_get_figures(const struct virtqueue *vq);

/* Copies between a chain and a flat buffer; offset counts from the first out (in) byte.
   Return the bytes copied: fewer than size when the chain ends. */
size_t virtqueue_chain_read(const struct virtqueue_chain *chain, size_t offset, void *buf,
                            size_t size);
size_t virtqueue_chain_write(const struct virtqueue_chain *chain, size_t offset, const void *buf,
                             size_t size);

#endif

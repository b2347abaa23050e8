/* SPDX-License-Identifier: MIT */
/* A place for virtio devices behind the PCI transport, without a machine: for their states. */
#ifndef TESTS_UNIT_STATE_PLACE_H
#define TESTS_UNIT_STATE_PLACE_H

#include <stdlib.h>
#include <string.h>

#include "kvm/snapshot/format.h"
#include "kvm/virtio/pci.h"
#include "kvm/virtio/transport.h"

#define PLACE_RAM    65536u
#define PLACE_WINDOW 0xc0000000u

struct place {
    struct event_loop *loop;
    struct loop_call calls;
    struct pci_bus bus;
    struct guest_memory memory;
    uint8_t *ram;
    int lines;
    /* What the transports asked of the hypervisor. */
    int doorbells, attached;
    uint64_t doorbell_gpa, message_address; /* the last */
    uint32_t message_data;
};

static int place_doorbell(void *vm, uint64_t gpa, int64_t value, int fd, bool attach)
{
    struct place *place = vm;

    (void)value, (void)fd;
    place->doorbells += attach ? 1 : -1;
    if (attach)
        place->doorbell_gpa = gpa;
    return 0;
}

static inline void place_msi_free(void *vm, int line)
{
    (void)vm, (void)line;
}

static int place_msi_alloc(void *vm)
{
    return ((struct place *)vm)->lines++;
}

static int place_msi_attach(void *vm, int line, uint16_t requester, uint64_t address, uint32_t data,
                            int fd)
{
    struct place *place = vm;

    (void)line, (void)requester, (void)fd;
    place->attached++;
    place->message_address = address;
    place->message_data = data;
    return 0;
}

static int place_msi_detach(void *vm, int line, int fd)
{
    (void)line, (void)fd;
    ((struct place *)vm)->attached--;
    return 0;
}

/* On zeroed memory; what cannot be had ends the program. */
static inline void place_init(struct place *place)
{
    struct crosh_error err = {0};

    place->loop = event_loop_new(&err);
    place->ram = aligned_alloc(4096, PLACE_RAM);
    if (place->loop == NULL || place->ram == NULL ||
        loop_call_init(&place->calls, place->loop, &err) < 0)
        abort();
    memset(place->ram, 0, PLACE_RAM);
    pci_bus_init(&place->bus, PLACE_WINDOW, 0x20000000);
    if (guest_memory_add(&place->memory, 0, PLACE_RAM, place->ram, 0) < 0)
        abort();
}

static inline struct virtio_pci *place_plug(struct place *place, struct virtio_device *dev)
{
    static const struct vm_ops ops = {.doorbell = place_doorbell,
                                      .msi_alloc = place_msi_alloc,
                                      .msi_free = place_msi_free,
                                      .msi_attach = place_msi_attach,
                                      .msi_detach = place_msi_detach};
    struct virtio_host host = {
        .ops = &ops, .vm = place, .memory = &place->memory, .calls = &place->calls};
    struct crosh_error err = {0};
    struct virtio_pci *transport =
        dev != NULL ? virtio_pci_new(&host, &place->bus, dev, &err) : NULL;

    if (transport == NULL)
        abort();
    return transport;
}

/* After the transports and the devices. */
static inline void place_fini(struct place *place)
{
    pci_bus_fini(&place->bus);
    loop_call_fini(&place->calls);
    event_loop_free(place->loop);
    free(place->ram);
}

#endif

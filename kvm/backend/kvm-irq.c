/* SPDX-License-Identifier: MIT */
/* Interrupt lines and doorbells: eventfds tied to the in-kernel interrupt controllers. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "kvm/backend/arch.h"
#include "kvm/backend/kvm-machine.h"
#include "lib/base/cleanup.h"

/* KVM takes the table as a whole. With irq_lock held (or before any thread runs). */
static int set_routes(struct machine *machine)
{
    size_t count = (size_t)machine->line_count;
    cleanup_free struct kvm_irq_routing *table =
        calloc(1, sizeof(*table) + count * sizeof(table->entries[0]));

    if (table == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++) {
        if (machine->route[i].type != 0)
            table->entries[table->nr++] = machine->route[i];
    }
    return ioctl(machine->vm_fd, KVM_SET_GSI_ROUTING, table) < 0 ? -errno : 0;
}

int kvm_irq_init(struct machine *machine, struct crosh_error *err)
{
    for (unsigned int pin = 0; pin < LAYOUT_PINS; pin++)
        machine->route[pin] = arch_pin_route(pin);
    machine->line_count = LAYOUT_PINS;
    if (set_routes(machine) < 0)
        return crosh_error_errno(err, "KVM_SET_GSI_ROUTING");
    return 0;
}

static int set_irqfd(struct machine *machine, unsigned int gsi, int fd, uint32_t flags)
{
    struct kvm_irqfd irqfd = {.fd = (uint32_t)fd, .gsi = gsi, .flags = flags};

    return ioctl(machine->vm_fd, KVM_IRQFD, &irqfd) < 0 ? -errno : 0;
}

int kvm_irq_pin(struct machine *machine, unsigned int pin, struct crosh_error *err)
{
    cleanup_close int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

    if (fd < 0)
        return crosh_error_errno(err, "eventfd");
    if (set_irqfd(machine, pin, fd, 0) < 0)
        return crosh_error_errno(err, "KVM_IRQFD");
    return move_fd(fd);
}

static int doorbell(void *vm, uint64_t gpa, int64_t value, int fd, bool attach)
{
    struct machine *machine = vm;
    struct kvm_ioeventfd doorbell = {.addr = gpa,
                                     .len = 0, /* any: the quickest for KVM to recognise */
                                     .fd = fd,
                                     .flags = attach ? 0 : KVM_IOEVENTFD_FLAG_DEASSIGN};

    if (value != VM_DOORBELL_ANY) {
        doorbell.len = sizeof(uint32_t);
        doorbell.datamatch = (uint32_t)value;
        doorbell.flags |= KVM_IOEVENTFD_FLAG_DATAMATCH;
    }
    return ioctl(machine->vm_fd, KVM_IOEVENTFD, &doorbell) < 0 ? -errno : 0;
}

static int msi_alloc(void *vm)
{
    struct machine *machine = vm;
    int line = -ENOSPC;

    pthread_mutex_lock(&machine->irq_lock);
    for (int i = LAYOUT_PINS; i < KVM_MAX_LINES && line < 0; i++)
        if (!machine->is_line_taken[i])
            line = i;
    if (line >= 0) {
        machine->is_line_taken[line] = true;
        if (line >= machine->line_count)
            machine->line_count = line + 1;
    }
    pthread_mutex_unlock(&machine->irq_lock);
    return line;
}

static void msi_free(void *vm, int line)
{
    struct machine *machine = vm;

    pthread_mutex_lock(&machine->irq_lock);
    machine->is_line_taken[line] = false;
    /* Left out of the next table; until then KVM keeps a route that nobody uses. */
    memset(&machine->route[line], 0, sizeof(machine->route[line]));
    pthread_mutex_unlock(&machine->irq_lock);
}

static int msi_attach(void *vm, int line, uint16_t requester, uint64_t address, uint32_t data,
                      int fd)
{
    struct machine *machine = vm;
    struct kvm_irq_routing_entry route = {
        .gsi = (uint32_t)line,
        .type = KVM_IRQ_ROUTING_MSI,
        .flags = ARCH_MSI_FLAGS,
        .u.msi = {.address_lo = (uint32_t)address,
                  .address_hi = (uint32_t)(address >> 32),
                  .data = data,
                  .devid = requester},
    };
    int code = 0;

    pthread_mutex_lock(&machine->irq_lock);
    /* Setting routes is slow (it waits for all readers): masking and unmasking need none. */
    if (memcmp(&machine->route[line], &route, sizeof(route)) != 0) {
        struct kvm_irq_routing_entry old = machine->route[line];

        machine->route[line] = route;
        code = set_routes(machine);
        /* One that KVM refuses must not spoil every later table. */
        if (code < 0)
            machine->route[line] = old;
    }
    if (code == 0)
        code = set_irqfd(machine, (unsigned int)line, fd, 0);
    pthread_mutex_unlock(&machine->irq_lock);
    return code;
}

static int msi_detach(void *vm, int line, int fd)
{
    return set_irqfd(vm, (unsigned int)line, fd, KVM_IRQFD_FLAG_DEASSIGN);
}

const struct vm_ops kvm_vm_ops = {
    .doorbell = doorbell,
    .msi_alloc = msi_alloc,
    .msi_free = msi_free,
    .msi_attach = msi_attach,
    .msi_detach = msi_detach,
};

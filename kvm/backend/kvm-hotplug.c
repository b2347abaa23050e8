/* SPDX-License-Identifier: MIT */
/* Devices of any kind that come to a running machine, and go. */

/*
 * A device comes as a PCI device in one of the slots for hot-plugging, and the guest is
 * told to look there. To have one back the guest is asked to give the slot back. When
 * its driver has let go it writes to the eject register: the vcpu takes the device
 * off the bus and passes it on (ejected); the loop's thread frees it once no other
 * vcpu is in the middle of an access to it.
 */
#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "kvm/backend/kvm-machine.h"

/* How soon to look again for accesses that are still under way. */
#define REAP_INTERVAL_MS 10

/* On the vcpu's thread. */
static void on_ejected(void *opaque, struct pci_device *device)
{
    struct machine *machine = opaque;
    struct kvm_hotplug *hotplug = &machine->hotplug;

    pthread_mutex_lock(&hotplug->lock);
    /* There are no more of them than devices in all. */
    if (hotplug->ejected_count < KVM_MAX_DEVICES)
        hotplug->ejected[hotplug->ejected_count++] = device;
    pthread_mutex_unlock(&hotplug->lock);
    (void)eventfd_write(hotplug->fd, 1);
}

static void forget(struct machine *machine, const struct pci_device *device)
{
    for (struct kvm_hot **at = &machine->hotplug.devices; *at != NULL; at = &(*at)->next) {
        struct kvm_hot *hot = *at;
        machine_done_fn *done = hot->done;
        void *opaque = hot->done_opaque;

        if (virtio_pci_device(hot->transport) != device)
            continue;
        *at = hot->next;
        kvm_unplug_hot(machine, hot->transport, hot->dev);
        hot->gone(hot);
        if (done != NULL)
            done(opaque, 0, NULL);
        return;
    }
}

/* Frees what was ejected, unless a vcpu is still busy with it: true when nothing is left. */
static bool reap(struct machine *machine)
{
    struct kvm_hotplug *hotplug = &machine->hotplug;
    struct pci_device *ejected[KVM_MAX_DEVICES];
    unsigned int count = 0, left = 0;

    pthread_mutex_lock(&hotplug->lock);
    for (unsigned int i = 0; i < hotplug->ejected_count; i++) {
        struct pci_device *device = hotplug->ejected[i];

        if (atomic_load(&device->users) == 0)
            ejected[count++] = device;
        else
            hotplug->ejected[left++] = device;
    }
    hotplug->ejected_count = left;
    pthread_mutex_unlock(&hotplug->lock);
    for (unsigned int i = 0; i < count; i++)
        forget(machine, ejected[i]);
    return left == 0;
}

static void on_reap_timer(void *opaque)
{
    struct machine *machine = opaque;

    if (!reap(machine))
        event_timer_set(machine->hotplug.timer, REAP_INTERVAL_MS);
}

static void on_eject_event(void *opaque, uint32_t events)
{
    struct machine *machine = opaque;
    eventfd_t count;

    (void)events;
    (void)eventfd_read(machine->hotplug.fd, &count);
    on_reap_timer(machine);
}

int kvm_hotplug_init(struct machine *machine, struct crosh_error *err)
{
    struct kvm_hotplug *hotplug = &machine->hotplug;

    hotplug->registers =
        (struct pci_hotplug){.bus = &machine->pci, .ejected = on_ejected, .opaque = machine};
    hotplug->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (hotplug->fd < 0)
        return crosh_error_errno(err, "eventfd");
    hotplug->source = event_add(machine->host.loop, hotplug->fd, EPOLLIN, on_eject_event, machine);
    hotplug->timer = event_timer_add(machine->host.loop, on_reap_timer, machine);
    return hotplug->source != NULL && hotplug->timer != NULL ? 0
                                                             : crosh_error_errno(err, "event loop");
}

void kvm_hotplug_fini(struct machine *machine)
{
    struct kvm_hotplug *hotplug = &machine->hotplug;

    event_remove(hotplug->source);
    event_remove(hotplug->timer);
    if (hotplug->fd >= 0)
        (void)close(hotplug->fd);
    pthread_mutex_destroy(&hotplug->lock);
}

void kvm_hotplug_settle(struct machine *machine)
{
    (void)reap(machine);
}

unsigned int kvm_hot_slot(const struct machine *machine, const struct virtio_device *dev)
{
    for (const struct kvm_hot *hot = machine->hotplug.devices; hot != NULL; hot = hot->next)
        if (hot->dev == dev)
            return hot->slot;
    return 0;
}

/* slot: as pci_bus_plug()'s. */
static int plug(struct machine *machine, struct kvm_hot *hot, unsigned int slot,
                struct crosh_error *err)
{
    if (!arch_can_hotplug)
        return crosh_error_set(err, -EOPNOTSUPP,
                               "this machine's guests cannot be told of a device that comes while "
                               "they run");
    hot->transport = kvm_plug_hot(machine, hot->dev, slot, err);
    if (hot->transport == NULL)
        return err->code;
    hot->slot = virtio_pci_device(hot->transport)->requester >> 3;
    hot->next = machine->hotplug.devices;
    machine->hotplug.devices = hot;
    return 0;
}

int kvm_hot_add(struct machine *machine, struct kvm_hot *hot, struct crosh_error *err)
{
    int code = plug(machine, hot, 0, err);

    if (code < 0)
        return code;
    pci_hotplug_add(&machine->hotplug.registers, hot->slot);
    arch_tell_hotplug(machine);
    return 0;
}

int kvm_hot_restore(struct machine *machine, struct kvm_hot *hot, unsigned int slot,
                    struct crosh_error *err)
{
    return plug(machine, hot, slot, err);
}

int kvm_hot_ask_back(struct machine *machine, struct kvm_hot *hot, const char *what,
                     machine_done_fn *done, void *opaque, struct crosh_error *err)
{
    if (hot->transport == NULL) {
        crosh_error_set(err, -EBUSY, "%s belongs to the VM since its start", what);
        return crosh_error_hint(err, "only what was attached later can be detached");
    }
    /* The guest may not have heeded the first request: it is asked anew. */
    if (hot->done != NULL) {
        struct crosh_error again = {0};

        crosh_error_set(&again, -ECANCELED, "%s was asked back once more", what);
        hot->done(hot->done_opaque, again.code, &again);
    }
    hot->done = done;
    hot->done_opaque = opaque;
    pci_hotplug_want(&machine->hotplug.registers, hot->slot);
    arch_tell_hotplug(machine);
    return 0;
}

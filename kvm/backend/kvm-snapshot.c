/* SPDX-License-Identifier: MIT */
/* Saves a machine that stands still, and brings a new one into a saved state. */

/*
 * Everything the guest can see is in one of three places: in KVM (arch_save()), in
 * the devices (virtio_transport_save() and the like), in its memory, which is written
 * and mapped elsewhere (kvm/snapshot/). What is not saved is derived anew: interrupt
 * routes and doorbells from the devices' registers, descriptors, the host's ends of
 * streams. The guest is told that it has been restored: its streams are reset.
 */
#include <errno.h>
#include <stdlib.h>

#include "kvm/backend/arch.h"
#include "kvm/backend/kvm-machine.h"
#include "kvm/snapshot/format.h"
#include "kvm/virtio/transport.h"

static int save_devices(struct machine *machine, Snapshot__Machine *state, struct crosh_error *err)
{
    state->devices = calloc(machine->device_count, sizeof(*state->devices));
    if (state->devices == NULL)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    for (unsigned int i = 0; i < machine->device_count; i++) {
        Snapshot__Virtio *device = SNAPSHOT_NEW(Snapshot__Virtio, snapshot__virtio__init);
        int code;

        if (device == NULL)
            return crosh_error_set(err, -ENOMEM, "out of memory");
        state->devices[state->n_devices++] = device;
        device->slot = kvm_hot_slot(machine, machine->device[i]);
        code = virtio_transport_save(machine->device[i]->transport, device, err);
        if (code < 0)
            return code;
    }
    return 0;
}

int kvm_save(struct machine *machine, Snapshot__Machine *state, struct crosh_error *err)
{
    int code;

    if (!machine->pause.is_held)
        return crosh_error_set(err, -EBUSY, "the machine does not stand still");
    kvm_output_flush(machine);
    state->is_console_in_use = machine->is_console_in_use;
    state->serial = serial_save(&machine->serial);
    if (state->serial == NULL)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    state->pci_address = machine->pci.address;
    state->hotplug_added = atomic_load(&machine->hotplug.registers.added);
    state->hotplug_wanted = atomic_load(&machine->hotplug.registers.wanted);
    code = kvm_disks_save(machine, state, err);
    if (code == 0)
        code = kvm_shares_save(machine, state, err);
    if (code == 0)
        code = save_devices(machine, state, err);
    return code < 0 ? code : arch_save(machine, state, err);
}

/* Attaches what was in the slot, if it is of config. */
static int attach_again(struct machine *machine, const struct machine_config *config,
                        unsigned int slot, struct crosh_error *err)
{
    for (unsigned int i = 0; i < config->disk_count; i++)
        if (snapshot_disk_slot(config->restore, config->disk[i].name) == slot)
            return kvm_disk_restore(machine, &config->disk[i], slot, err);
    for (unsigned int i = 0; i < config->share_count; i++)
        if (snapshot_share_slot(config->restore, config->share[i].tag) == slot)
            return kvm_share_restore(machine, &config->share[i], slot, err);
    return crosh_error_set(err, -EBADMSG, "nothing of it was in slot %u", slot);
}

int kvm_restore_attached(struct machine *machine, const struct machine_config *config,
                         struct crosh_error *err)
{
    const Snapshot__Machine *state = config->restore->state;

    for (size_t i = 0; i < state->n_devices; i++)
        if (state->devices[i]->slot != 0 &&
            attach_again(machine, config, state->devices[i]->slot, err) < 0)
            return crosh_error_wrap(err, "snapshot %s", config->restore->path);
    return 0;
}

static int restore_devices(struct machine *machine, const Snapshot__Machine *state,
                           struct crosh_error *err)
{
    if (state->n_devices != machine->device_count)
        return crosh_error_set(err, -EINVAL, "it has %zu devices, the VM has %u", state->n_devices,
                               machine->device_count);
    for (unsigned int i = 0; i < machine->device_count; i++) {
        int code = virtio_transport_restore(machine->device[i]->transport, state->devices[i], err);

        if (code < 0)
            return code;
    }
    return 0;
}

int kvm_restore(struct machine *machine, const Snapshot__Machine *state, struct crosh_error *err)
{
    int code = arch_restore(machine, state, err);

    if (code < 0)
        return code;
    machine->is_console_in_use = state->is_console_in_use;
    machine->pci.address = state->pci_address;
    atomic_store(&machine->hotplug.registers.added, state->hotplug_added);
    atomic_store(&machine->hotplug.registers.wanted, state->hotplug_wanted);
    serial_restore(&machine->serial, state->serial);
    /* After KVM's part, to which they send interrupts. */
    code = restore_devices(machine, state, err);
    for (unsigned int i = 0; code == 0 && i < machine->device_count; i++)
        if (machine->device[i]->ops->restored != NULL)
            machine->device[i]->ops->restored(machine->device[i]);
    return code;
}

const struct guest_memory *kvm_memory(const struct machine *machine)
{
    return &machine->memory;
}

/* SPDX-License-Identifier: MIT */
/* The virtio devices of a machine, and what they are plugged into: PCI, or MMIO places. */
#include <errno.h>
#include <unistd.h>

#include "kvm/backend/kvm-machine.h"
#include "kvm/port-socket.h"
#include "kvm/virtio/balloon.h"
#include "kvm/virtio/button.h"
#include "kvm/virtio/console.h"
#include "kvm/virtio/net.h"
#include "kvm/virtio/rng.h"

static int map_pci(struct machine *machine, struct crosh_error *err)
{
    if (bus_add(&machine->mmio, LAYOUT_ECAM, LAYOUT_ECAM_SIZE, &pci_ecam_bus_ops, &machine->pci) <
            0 ||
        bus_add(&machine->mmio, LAYOUT_PCI_WINDOW, LAYOUT_PCI_WINDOW_SIZE, &pci_window_bus_ops,
                &machine->pci) < 0)
        return crosh_error_set(err, -EINVAL, "PCI address map");
    return 0;
}

static int plug_pci(struct machine *machine, const struct virtio_host *host,
                    struct virtio_device *dev, struct crosh_error *err)
{
    struct virtio_pci *transport = virtio_pci_new(host, &machine->pci, dev, err);

    if (transport == NULL)
        return -EIO;
    machine->pci_transport[machine->pci_count++] = transport;
    return 0;
}

static int plug_mmio(struct machine *machine, const struct virtio_host *host,
                     struct virtio_device *dev, struct crosh_error *err)
{
    struct virtio_mmio *transport;
    unsigned int pin;
    uint64_t gpa;
    int irq_fd;

    if (arch_mmio_place(machine->mmio_count, &gpa, &pin) < 0)
        return crosh_error_set(err, -ENOSPC, "this machine has no place for virtio-%s over MMIO",
                               dev->ops->name);
    irq_fd = kvm_irq_pin(machine, pin, err);
    if (irq_fd < 0)
        return irq_fd;
    transport = virtio_mmio_new(host, &machine->mmio, gpa, irq_fd, dev, err);
    if (transport == NULL)
        return -EIO;
    machine->mmio_transport[machine->mmio_count++] = transport;
    return 0;
}

static struct virtio_host host_of(struct machine *machine)
{
    return (struct virtio_host){
        .ops = &kvm_vm_ops,
        .vm = machine,
        .memory = &machine->memory,
        .calls = &machine->calls,
    };
}

/* Gives dev (accepts NULL: it could not be made) a transport. */
static int plug(struct machine *machine, struct virtio_device *dev, struct crosh_error *err)
{
    struct virtio_host host = host_of(machine);
    int code;

    if (dev == NULL)
        return -EIO;
    code = machine->transport == MACHINE_TRANSPORT_MMIO ? plug_mmio(machine, &host, dev, err)
                                                        : plug_pci(machine, &host, dev, err);
    if (code < 0)
        return code;
    machine->device[machine->device_count++] = dev;
    return 0;
}

struct virtio_pci *kvm_plug_hot(struct machine *machine, struct virtio_device *dev,
                                unsigned int slot, struct crosh_error *err)
{
    struct virtio_host host = host_of(machine);
    struct virtio_pci *transport;

    transport = virtio_pci_plug(&host, &machine->pci, slot, dev, err);
    if (transport != NULL) {
        machine->pci_transport[machine->pci_count++] = transport;
        machine->device[machine->device_count++] = dev;
    }
    return transport;
}

void kvm_unplug_hot(struct machine *machine, struct virtio_pci *transport,
                    struct virtio_device *dev)
{
    unsigned int at = 0;

    while (machine->pci_transport[at] != transport)
        at++;
    machine->pci_transport[at] = machine->pci_transport[--machine->pci_count];
    for (at = 0; machine->device[at] != dev; at++)
        ;
    machine->device_count--;
    for (; at < machine->device_count; at++)
        machine->device[at] = machine->device[at + 1];
    virtio_pci_free(transport);
}

int kvm_port_connect(struct machine *machine, const char *name, int fd, struct crosh_error *err)
{
    for (unsigned int i = 0; i < VIRTIO_CONSOLE_MAX_PORTS && machine->port[i] != NULL; i++)
        if (port_socket_is(machine->port[i], name))
            return port_socket_adopt(machine->port[i], fd, err);
    (void)close(fd);
    return crosh_error_set(err, -ENOENT, "the VM has no port %s", name);
}

static void on_console_output(void *opaque, const void *data, size_t size)
{
    struct machine *machine = opaque;

    /* What the serial port said before comes before. */
    kvm_output_flush(machine);
    machine->is_console_in_use = true;
    if (machine->host.console_output != NULL)
        machine->host.console_output(machine->host.opaque, data, size);
}

/* The order is that of the slots: disks keep their names (vda ...) whatever else there is. */
int kvm_devices_init(struct machine *machine, const struct machine_config *config,
                     struct crosh_error *err)
{
    struct event_loop *loop = machine->host.loop;

    machine->transport =
        config->transport == MACHINE_TRANSPORT_PCI ? MACHINE_TRANSPORT_PCI : MACHINE_TRANSPORT_MMIO;
    pci_bus_init(&machine->pci, LAYOUT_PCI_WINDOW, LAYOUT_PCI_WINDOW_SIZE);
    /* A guest that has its devices elsewhere meets PCI with the first that is hot-plugged. */
    if (map_pci(machine, err) < 0 || kvm_hotplug_init(machine, err) < 0)
        return -EINVAL;
    for (unsigned int i = 0; i < config->disk_count && i < MACHINE_MAX_DISKS; i++) {
        if (snapshot_disk_slot(config->restore, config->disk[i].name) == 0 &&
            plug(machine, kvm_disk_new(machine, &config->disk[i], err), err) < 0)
            return -EIO;
    }
    for (unsigned int i = 0; i < config->nic_count && i < MACHINE_MAX_NICS; i++) {
        machine->nic[i] = virtio_net_new(loop, &config->nic[i], config->vcpus, err);
        if (plug(machine, machine->nic[i], err) < 0)
            return -EIO;
    }
    for (unsigned int i = 0; i < config->share_count && i < MACHINE_MAX_SHARES; i++) {
        if (snapshot_share_slot(config->restore, config->share[i].tag) == 0 &&
            plug(machine, kvm_share_new(machine, &config->share[i], err), err) < 0)
            return -EIO;
    }
    if (machine->host.vsock != NULL && plug(machine, machine->host.vsock, err) < 0)
        return -EIO;
    machine->console = virtio_console_new(loop, on_console_output, machine, err);
    for (unsigned int i = 0; i < config->port_count && machine->console != NULL; i++) {
        machine->port[i] =
            port_socket_new(loop, config->port[i].name, config->port[i].listen_fd, err);
        if (machine->port[i] == NULL ||
            port_socket_add_to_console(machine->port[i], machine->console, err) < 0)
            return -EIO;
    }
    if (plug(machine, machine->console, err) < 0)
        return -EIO;
    machine->rng = virtio_rng_new(loop, err);
    if (plug(machine, machine->rng, err) < 0)
        return -EIO;
    machine->balloon = virtio_balloon_new(loop, &kvm_balloon_ops, machine, err);
    if (plug(machine, machine->balloon, err) < 0)
        return -EIO;
    machine->button = arch_needs_button ? virtio_button_new(loop, err) : NULL;
    if (arch_needs_button && plug(machine, machine->button, err) < 0)
        return -EIO;
    return config->restore != NULL ? kvm_restore_attached(machine, config, err) : 0;
}

void kvm_devices_fini(struct machine *machine)
{
    while (machine->pci_count > 0)
        virtio_pci_free(machine->pci_transport[--machine->pci_count]);
    while (machine->mmio_count > 0)
        virtio_mmio_free(machine->mmio_transport[--machine->mmio_count]);
    kvm_hotplug_fini(machine);
    kvm_disks_fini(machine);
    kvm_shares_fini(machine);
    for (unsigned int i = 0; i < MACHINE_MAX_NICS; i++)
        virtio_net_free(machine->nic[i]);
    for (unsigned int i = 0; i < VIRTIO_CONSOLE_MAX_PORTS; i++)
        port_socket_free(machine->port[i]);
    virtio_console_free(machine->console);
    virtio_rng_free(machine->rng);
    virtio_balloon_free(machine->balloon);
    virtio_button_free(machine->button);
    pci_bus_fini(&machine->pci);
}

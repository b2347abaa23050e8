/* SPDX-License-Identifier: MIT */
/* The x86 machine: what is on its board and how it is put together. */
#include <errno.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <unistd.h>

#include "kvm/backend/arch.h"
#include "kvm/backend/kvm-machine.h"
#include "kvm/x86/boot.h"
#include "kvm/x86/cpu.h"

/*
 * reboot=a: without EFI a hardware-reduced kernel would not think of the ACPI reset
 * register. panic=-1: a panic reboots at once, which ends the VM. cryptomgr.notests:
 * the crypto self-tests take longer than the rest of a boot.
 */
const char arch_cmdline[] = "console=ttyS0 reboot=a panic=-1 quiet cryptomgr.notests";

const struct arch_capability arch_capabilities[] = {
    {KVM_CAP_SET_TSS_ADDR, "KVM_SET_TSS_ADDR"},
    {KVM_CAP_SET_IDENTITY_MAP_ADDR, "KVM_SET_IDENTITY_MAP_ADDR"},
    {KVM_CAP_EXT_CPUID, "CPUID tables"},
    {0, NULL},
};

int arch_vm_init(struct machine *machine, struct crosh_error *err)
{
    uint64_t identity_map = LAYOUT_IDENTITY_MAP;

    if (ioctl(machine->vm_fd, KVM_SET_TSS_ADDR, LAYOUT_TSS) < 0 ||
        ioctl(machine->vm_fd, KVM_SET_IDENTITY_MAP_ADDR, &identity_map) < 0)
        return crosh_error_errno(err, "KVM_SET_TSS_ADDR");
    if (ioctl(machine->vm_fd, KVM_CREATE_IRQCHIP, 0) < 0)
        return crosh_error_errno(err, "KVM_CREATE_IRQCHIP");
    return 0;
}

int arch_irqchip_init(struct machine *machine, struct crosh_error *err)
{
    (void)machine, (void)err; /* complete since arch_vm_init() */
    return 0;
}

struct kvm_irq_routing_entry arch_pin_route(unsigned int pin)
{
    return (struct kvm_irq_routing_entry){
        .gsi = pin,
        .type = KVM_IRQ_ROUTING_IRQCHIP,
        .u.irqchip = {.irqchip = KVM_IRQCHIP_IOAPIC, .pin = pin},
    };
}

/*
 * A kernel that reboots in good order has masked every pin of the I/O APIC before it
 * resets the machine; one that panicked, or was told to reboot at once (SysRq), has
 * not. The event device's pin is unmasked from early in the boot on.
 */
static bool is_orderly_reset(struct machine *machine)
{
    struct kvm_irqchip chip = {.chip_id = KVM_IRQCHIP_IOAPIC};

    return ioctl(machine->vm_fd, KVM_GET_IRQCHIP, &chip) < 0 ||
           chip.chip.ioapic.redirtbl[LAYOUT_GED_IRQ].fields.mask != 0;
}

static void on_power_event(void *opaque, enum power_event event, const char *how)
{
    struct machine *machine = opaque;

    switch (event) {
    case POWER_EVENT_OFF:
        kvm_machine_end(machine, MACHINE_END_POWEROFF, "the guest powered off (%s)", how);
        break;
    case POWER_EVENT_RESET:
        if (is_orderly_reset(machine))
            kvm_machine_end(machine, MACHINE_END_RESET, "the guest rebooted (%s)", how);
        else
            kvm_machine_end(machine, MACHINE_END_CRASH,
                            "the guest reset itself without shutting down, as a kernel does that "
                            "panics (%s)",
                            how);
        break;
    case POWER_EVENT_PANIC:
        kvm_machine_end(machine, MACHINE_END_CRASH, "the guest's kernel panicked (%s)", how);
        break;
    }
}

/* Devices beyond the number of pins share them. */
int arch_mmio_place(unsigned int number, uint64_t *gpa, unsigned int *pin)
{
    if (number >= KVM_MAX_DEVICES)
        return -ENOSPC;
    *gpa = LAYOUT_VIRTIO_MMIO + (uint64_t)number * VIRTIO_MMIO_SIZE;
    *pin = LAYOUT_MMIO_IRQ + number % (LAYOUT_PINS - LAYOUT_MMIO_IRQ);
    return 0;
}

int arch_board_init(struct machine *machine, struct crosh_error *err)
{
    struct arch_board *board = &machine->board;

    machine->serial.irq_fd = machine->serial_irq_fd = kvm_irq_pin(machine, LAYOUT_COM1_IRQ, err);
    board->power.irq_fd = board->power_irq_fd = kvm_irq_pin(machine, LAYOUT_GED_IRQ, err);
    if (machine->serial_irq_fd < 0 || board->power_irq_fd < 0)
        return -EIO;
    board->power.event = on_power_event;
    board->power.opaque = machine;
    rtc_init(&board->rtc);
    if (bus_add(&board->ports, LAYOUT_COM1_PORT, SERIAL_PORTS, &serial_bus_ops, &machine->serial) <
            0 ||
        bus_add(&board->ports, POWER_PORT_BASE, POWER_PORTS, &power_bus_ops, &board->power) < 0 ||
        bus_add(&board->ports, PCI_HOTPLUG_PORT_BASE, PCI_HOTPLUG_PORTS, &pci_hotplug_bus_ops,
                &machine->hotplug.registers) < 0 ||
        bus_add(&board->ports, I8042_PORT_DATA, 1, &i8042_data_bus_ops, &board->power) < 0 ||
        bus_add(&board->ports, I8042_PORT_STATUS, 1, &i8042_status_bus_ops, &board->power) < 0 ||
        bus_add(&board->ports, RTC_PORT, RTC_PORTS, &rtc_bus_ops, &board->rtc) < 0 ||
        bus_add(&board->ports, PCI_CONFIG_PORT, PCI_CONFIG_PORTS, &pci_port_bus_ops,
                &machine->pci) < 0)
        return crosh_error_set(err, -EINVAL, "I/O port map");
    return 0;
}

void arch_board_fini(struct machine *machine)
{
    if (machine->board.power_irq_fd >= 0)
        (void)close(machine->board.power_irq_fd);
    machine->board.power_irq_fd = -1;
}

int board_new_generation(struct machine *machine, struct crosh_error *err)
{
    uint8_t *id = guest_memory_at(&machine->memory, LAYOUT_GENERATION, LAYOUT_GENERATION_BYTES);

    if (id == NULL || getrandom(id, LAYOUT_GENERATION_BYTES, 0) != LAYOUT_GENERATION_BYTES)
        return crosh_error_set(err, -EIO, "no generation id");
    return 0;
}

int arch_load(struct machine *machine, const struct machine_config *config, const char *cmdline,
              struct crosh_error *err)
{
    struct boot_config boot = {.kernel = config->kernel,
                               .initrd = config->initrd,
                               .cmdline = cmdline,
                               .acpi = {.vcpus = config->vcpus,
                                        .has_pci = machine->transport == MACHINE_TRANSPORT_PCI,
                                        .mmio_count = machine->mmio_count}};
    uint64_t entry = 0;
    int code = boot_load(&boot, &machine->memory, &entry, err);

    if (code == 0)
        code = board_new_generation(machine, err);

    return code < 0 ? code : cpu_set_boot_registers(machine->vcpu[0].fd, entry, err);
}

const bool arch_needs_button = false; /* ACPI has one */

void arch_press_power_button(struct machine *machine)
{
    power_press_button(&machine->board.power);
}

const bool arch_can_hotplug = true;

void arch_tell_hotplug(struct machine *machine)
{
    power_tell(&machine->board.power, POWER_EVENT_HOTPLUG);
}

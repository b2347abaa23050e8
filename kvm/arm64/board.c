/* SPDX-License-Identifier: MIT */
/* The arm64 machine: its interrupt controller, what is on its board, how it is put together. */
#include <errno.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "kvm/arm64/boot.h"
#include "kvm/arm64/vcpu.h"
#include "kvm/backend/arch.h"
#include "kvm/backend/kvm-machine.h"
#include "kvm/virtio/button.h"
#include "lib/base/cleanup.h"

/*
 * reboot=panic_warm: the kernel's reset after a panic, which panic=-1 has it do at
 * once, is asked for by another PSCI call than that of an ordinary reboot, so that
 * the two can be told apart. cryptomgr.notests: the crypto self-tests take longer
 * than the rest of a boot.
 */
const char arch_cmdline[] = "console=ttyS0 reboot=panic_warm panic=-1 quiet cryptomgr.notests";

const struct arch_capability arch_capabilities[] = {
    {KVM_CAP_ONE_REG, "KVM_SET_ONE_REG"},
    {KVM_CAP_ARM_PSCI_0_2, "PSCI 0.2"},
    {KVM_CAP_DEVICE_CTRL, "devices of its own"},
    {0, NULL},
};

int arch_probe(int kvm_fd, struct crosh_error *err)
{
    /* There is no KVM on arm64 that does without the processor's virtualization; what some
       boards lack is this interrupt controller. */
    static const struct {
        uint32_t type;
        const char *name;
    } needed[] = {{KVM_DEV_TYPE_ARM_VGIC_V3, "an interrupt controller of version 3 (GICv3)"},
                  {KVM_DEV_TYPE_ARM_VGIC_ITS, "an interrupt translation service (GICv3 ITS)"}};
    cleanup_close int vm_fd = ioctl(kvm_fd, KVM_CREATE_VM, 0);

    if (vm_fd < 0)
        return crosh_error_errno(err, "creating a VM to try KVM");
    for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++) {
        struct kvm_create_device device = {.type = needed[i].type, .flags = KVM_CREATE_DEVICE_TEST};

        if (ioctl(vm_fd, KVM_CREATE_DEVICE, &device) < 0)
            return crosh_error_set(err, -EOPNOTSUPP, "this host's KVM lacks %s", needed[i].name);
    }
    return 0;
}

int arch_vm_init(struct machine *machine, struct crosh_error *err)
{
    struct kvm_enable_cap cap = {.cap = KVM_CAP_ARM_NISV_TO_USER};

    (void)err;
    /* A device access that KVM cannot decode is then told from other failures; older KVMs cannot.
     */
    (void)ioctl(machine->vm_fd, KVM_ENABLE_CAP, &cap);
    return 0; /* the interrupt controller comes when the vcpus are there */
}

static int create_device(struct machine *machine, uint32_t type, const char *what,
                         struct crosh_error *err)
{
    struct kvm_create_device device = {.type = type};

    if (ioctl(machine->vm_fd, KVM_CREATE_DEVICE, &device) < 0)
        return crosh_error_errno(err, "KVM_CREATE_DEVICE (%s)", what);
    return (int)device.fd;
}

static int set_attr(int fd, uint32_t group, uint64_t attr, const void *value,
                    struct crosh_error *err)
{
    struct kvm_device_attr set = {.group = group, .attr = attr, .addr = (uintptr_t)value};

    if (ioctl(fd, KVM_SET_DEVICE_ATTR, &set) < 0)
        return crosh_error_errno(err, "interrupt controller: attribute %u.%llu", group,
                                 (unsigned long long)attr);
    return 0;
}

/* Where the parts of the GIC are seen, and how many interrupts it has. */
int arch_irqchip_init(struct machine *machine, struct crosh_error *err)
{
    struct arch_board *board = &machine->board;
    const uint64_t gicd = LAYOUT_GICD, gicr = LAYOUT_GICR, its = LAYOUT_ITS;
    const uint32_t irqs = 32 + LAYOUT_PINS; /* 32 are each vcpu's own */
    int code = 0;

    board->gic_fd = create_device(machine, KVM_DEV_TYPE_ARM_VGIC_V3, "GICv3", err);
    if (board->gic_fd < 0)
        return board->gic_fd;
    code =
        set_attr(board->gic_fd, KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V3_ADDR_TYPE_DIST, &gicd, err);
    if (code == 0)
        code = set_attr(board->gic_fd, KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V3_ADDR_TYPE_REDIST,
                        &gicr, err);
    if (code == 0)
        code = set_attr(board->gic_fd, KVM_DEV_ARM_VGIC_GRP_NR_IRQS, 0, &irqs, err);
    if (code == 0)
        code = set_attr(board->gic_fd, KVM_DEV_ARM_VGIC_GRP_CTRL, KVM_DEV_ARM_VGIC_CTRL_INIT, NULL,
                        err);
    if (code < 0)
        return code;
    board->its_fd = create_device(machine, KVM_DEV_TYPE_ARM_VGIC_ITS, "ITS", err);
    if (board->its_fd < 0)
        return board->its_fd;
    code = set_attr(board->its_fd, KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_ITS_ADDR_TYPE, &its, err);
    if (code == 0)
        code = set_attr(board->its_fd, KVM_DEV_ARM_VGIC_GRP_CTRL, KVM_DEV_ARM_VGIC_CTRL_INIT, NULL,
                        err);
    return code;
}

struct kvm_irq_routing_entry arch_pin_route(unsigned int pin)
{
    return (struct kvm_irq_routing_entry){
        .gsi = pin,
        .type = KVM_IRQ_ROUTING_IRQCHIP,
        .u.irqchip = {.irqchip = 0, .pin = pin},
    };
}

int arch_mmio_place(unsigned int number, uint64_t *gpa, unsigned int *pin)
{
    if (number >= KVM_MAX_DEVICES)
        return -ENOSPC;
    *gpa = LAYOUT_VIRTIO_MMIO + (uint64_t)number * VIRTIO_MMIO_SIZE;
    *pin = LAYOUT_MMIO_PIN + number;
    return 0;
}
_Static_assert(LAYOUT_MMIO_PIN + KVM_MAX_DEVICES <= LAYOUT_PINS, "one pin for each device");

int arch_board_init(struct machine *machine, struct crosh_error *err)
{
    machine->serial.irq_fd = machine->serial_irq_fd = kvm_irq_pin(machine, LAYOUT_SERIAL_PIN, err);
    if (machine->serial_irq_fd < 0)
        return -EIO;
    if (bus_add(&machine->mmio, LAYOUT_SERIAL, SERIAL_PORTS, &serial_bus_ops, &machine->serial) < 0)
        return crosh_error_set(err, -EINVAL, "address map");
    return 0;
}

void arch_board_fini(struct machine *machine)
{
    if (machine->board.its_fd >= 0)
        (void)close(machine->board.its_fd);
    if (machine->board.gic_fd >= 0)
        (void)close(machine->board.gic_fd);
    machine->board = (struct arch_board)ARCH_BOARD_INIT;
}

int arch_load(struct machine *machine, const struct machine_config *config, const char *cmdline,
              struct crosh_error *err)
{
    struct boot_config boot = {.kernel = config->kernel,
                               .initrd = config->initrd,
                               .cmdline = cmdline,
                               .vcpus = config->vcpus,
                               .has_pci = machine->transport == MACHINE_TRANSPORT_PCI,
                               .mmio_count = machine->mmio_count};
    struct boot_entry entry;
    int code = 0;

    for (unsigned int i = 0; i < machine->vcpu_count && code == 0; i++)
        code = vcpu_affinity(machine->vcpu[i].fd, &boot.affinity[i], err);
    if (code == 0)
        code = boot_load(&boot, &machine->memory, &entry, err);
    return code < 0 ? code : vcpu_set_entry(machine->vcpu[0].fd, entry.pc, entry.fdt, err);
}

/* One on the board would need ACPI, or a driver (gpio-keys) that cloud kernels leave out. */
const bool arch_needs_button = true;

void arch_press_power_button(struct machine *machine)
{
    virtio_button_press(machine->button);
}

/* A device tree has no word for devices that come later. */
const bool arch_can_hotplug = false;

void arch_tell_hotplug(struct machine *machine)
{
    (void)machine;
}

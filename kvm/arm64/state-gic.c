/* SPDX-License-Identifier: MIT */
/* Saves and restores the interrupt controller of arm64: distributor, redistributors, ITS. */

/*
 * Theory of operation
 *
 * KVM gives the GIC's registers as attributes of its device (Linux' Documentation/virt/
 * kvm/devices/arm-vgic-v3.rst and arm-vgic-its.rst). They are saved as pairs of
 * attribute and value in the order in which they have to be written: the tables'
 * places before the switch that has them used, what an interrupt is before whether it
 * is pending. Enable and pending registers set bits and clear none, which is enough for
 * a machine that was just made.
 *
 * What the ITS and the redistributors know of message interrupts lies in tables of the
 * guest's own memory, which KVM writes when it is told to, and reads back likewise;
 * the snapshot's memory is written after this.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "kvm/arm64/state.h"
#include "kvm/arm64/vcpu.h"
#include "kvm/backend/arch.h"
#include "kvm/backend/kvm-machine.h"
#include "kvm/snapshot/format.h"

enum {
    DIST = KVM_DEV_ARM_VGIC_GRP_DIST_REGS,
    REDIST = KVM_DEV_ARM_VGIC_GRP_REDIST_REGS,
    ICC = KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS,
    LEVEL = KVM_DEV_ARM_VGIC_GRP_LEVEL_INFO,
    ITS = KVM_DEV_ARM_VGIC_GRP_ITS_REGS,

    FIRST_SHARED = 32, /* interrupts below are each vcpu's own */
    INTERRUPTS = FIRST_SHARED + LAYOUT_PINS,
    REGISTERS_MAX = 16384,
};

/* Arm's GIC specification, IHI 0069, chapter 12: offsets; of 32-bit words unless said otherwise. */
enum {
    GICD_CTLR = 0x0,
    GICD_IIDR = 0x8,
    GICD_IROUTER = 0x6000, /* 64 bits for each interrupt */
    GICR_CTLR = 0x0,
    GICR_WAKER = 0x14,
    GICR_PROPBASER = 0x70, /* 64 bits */
    GICR_PENDBASER = 0x78, /* 64 bits */
    GICR_SGI = 0x10000,    /* the frame with the vcpu's own interrupts */
    GITS_CTLR = 0x0,
    GITS_IIDR = 0x4,
    GITS_CBASER = 0x80,
    GITS_CWRITER = 0x88,
    GITS_CREADR = 0x90,
    GITS_BASER = 0x100,
    GITS_BASERS = 8,
};

/* What each interrupt has, in the distributor and in each redistributor's second frame. */
static const struct {
    uint32_t offset, bits; /* of the first interrupt; how many it has */
} per_interrupt[] = {
    {0x80, 1},  /* IGROUPR */
    {0x400, 8}, /* IPRIORITYR */
    {0xc00, 2}, /* ICFGR: before what is pending, which it decides about */
    {0x300, 1}, /* ISACTIVER */
    {0x200, 1}, /* ISPENDR */
    {0x100, 1}, /* ISENABLER */
};

#define ICC_REG(crm, op2) ARM64_SYS_REG(3, 0, 12, crm, op2)
static const uint64_t cpu_interface[] = {
    ICC_REG(12, 5),               /* SRE */
    ICC_REG(12, 4),               /* CTLR */
    ARM64_SYS_REG(3, 0, 4, 6, 0), /* PMR */
    ICC_REG(8, 3),
    ICC_REG(12, 3), /* BPR0, BPR1 */
    ICC_REG(8, 4),
    ICC_REG(8, 5),
    ICC_REG(8, 6),
    ICC_REG(8, 7), /* AP0R */
    ICC_REG(9, 0),
    ICC_REG(9, 1),
    ICC_REG(9, 2),
    ICC_REG(9, 3), /* AP1R */
    ICC_REG(12, 6),
    ICC_REG(12, 7), /* IGRPEN0, IGRPEN1 */
};

/* Registers being collected. */
struct list {
    int fd;
    Snapshot__GicRegister **reg;
    size_t count;
    bool is_out_of_memory;
};

/* How wide the device's attributes of a group are. */
static bool is_wide(uint32_t group)
{
    return group == ICC || group == ITS;
}

static int access_attribute(int fd, unsigned long request, uint32_t group, uint64_t attribute,
                            uint64_t *value)
{
    uint32_t narrow = (uint32_t)*value;
    struct kvm_device_attr attr = {.group = group,
                                   .attr = attribute,
                                   .addr = is_wide(group) ? (uintptr_t)value : (uintptr_t)&narrow};

    if (ioctl(fd, request, &attr) < 0)
        return -errno;
    if (!is_wide(group))
        *value = narrow;
    return 0;
}

static int command(int fd, uint64_t what)
{
    struct kvm_device_attr attr = {.group = KVM_DEV_ARM_VGIC_GRP_CTRL, .attr = what};

    return ioctl(fd, KVM_SET_DEVICE_ATTR, &attr) < 0 ? -errno : 0;
}

/* Adds a register if this controller has it: not all have every one of AP0R and AP1R. */
static void add(struct list *list, uint32_t group, uint64_t attribute)
{
    uint64_t value = 0;
    Snapshot__GicRegister *reg;

    if (list->count == REGISTERS_MAX || list->is_out_of_memory ||
        access_attribute(list->fd, KVM_GET_DEVICE_ATTR, group, attribute, &value) < 0)
        return;
    reg = SNAPSHOT_NEW(Snapshot__GicRegister, snapshot__gic_register__init);
    if (reg == NULL) {
        list->is_out_of_memory = true;
        return;
    }
    reg->group = group;
    reg->attribute = attribute;
    reg->value = value;
    list->reg[list->count++] = reg;
}

static void add_interrupts(struct list *list, uint32_t group, uint64_t base, uint32_t first,
                           uint32_t end)
{
    for (size_t i = 0; i < sizeof(per_interrupt) / sizeof(per_interrupt[0]); i++) {
        uint32_t bits = per_interrupt[i].bits;

        for (uint32_t irq = first; irq < end; irq += 32 / bits)
            add(list, group, base + per_interrupt[i].offset + irq * bits / 8);
    }
}

/* A vcpu as the upper half of an attribute has it: Aff3 to Aff0, one byte each. */
static uint64_t attribute_of(uint64_t affinity)
{
    return ((affinity & 0xffffff) | (affinity >> 8 & 0xff000000)) << 32;
}

static void add_vcpu(struct list *list, uint64_t vcpu)
{
    add(list, REDIST, vcpu | GICR_WAKER);
    add_interrupts(list, REDIST, vcpu | GICR_SGI, 0, FIRST_SHARED);
    add(list, LEVEL,
        vcpu | (uint64_t)VGIC_LEVEL_INFO_LINE_LEVEL << KVM_DEV_ARM_VGIC_LINE_LEVEL_INFO_SHIFT);
    add(list, REDIST, vcpu | GICR_PROPBASER);
    add(list, REDIST, vcpu | (GICR_PROPBASER + 4));
    add(list, REDIST, vcpu | GICR_PENDBASER);
    add(list, REDIST, vcpu | (GICR_PENDBASER + 4));
    add(list, REDIST, vcpu | GICR_CTLR);
    for (size_t i = 0; i < sizeof(cpu_interface) / sizeof(cpu_interface[0]); i++)
        add(list, ICC, vcpu | (cpu_interface[i] & KVM_DEV_ARM_VGIC_SYSREG_INSTR_MASK));
}

static int save_gic(struct machine *machine, struct list *list, struct crosh_error *err)
{
    add(list, DIST, GICD_IIDR);
    add(list, DIST, GICD_CTLR);
    add_interrupts(list, DIST, 0, FIRST_SHARED, INTERRUPTS);
    for (uint32_t irq = FIRST_SHARED; irq < INTERRUPTS; irq++) {
        add(list, DIST, GICD_IROUTER + irq * 8);
        add(list, DIST, GICD_IROUTER + irq * 8 + 4);
    }
    for (uint32_t irq = FIRST_SHARED; irq < INTERRUPTS; irq += 32)
        add(list, LEVEL,
            (uint64_t)VGIC_LEVEL_INFO_LINE_LEVEL << KVM_DEV_ARM_VGIC_LINE_LEVEL_INFO_SHIFT | irq);
    for (unsigned int i = 0; i < machine->vcpu_count; i++) {
        uint64_t affinity;

        if (vcpu_affinity(machine->vcpu[i].fd, &affinity, err) < 0)
            return err->code;
        add_vcpu(list, attribute_of(affinity));
    }
    return 0;
}

static void save_its(struct list *list)
{
    add(list, ITS, GITS_IIDR);
    add(list, ITS, GITS_CBASER);
    add(list, ITS, GITS_CREADR);
    add(list, ITS, GITS_CWRITER);
    for (uint32_t i = 0; i < GITS_BASERS; i++)
        add(list, ITS, GITS_BASER + i * 8);
    add(list, ITS, GITS_CTLR);
}

int arm64_gic_save(struct machine *machine, Snapshot__Arm64 *state, struct crosh_error *err)
{
    struct list gic = {.fd = machine->board.gic_fd}, its = {.fd = machine->board.its_fd};
    int code;

    gic.reg = calloc(REGISTERS_MAX, sizeof(*gic.reg));
    its.reg = calloc(REGISTERS_MAX, sizeof(*its.reg));
    state->gic = gic.reg;
    state->its = its.reg;
    if (gic.reg == NULL || its.reg == NULL)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    code = command(its.fd, KVM_DEV_ARM_ITS_SAVE_TABLES);
    if (code == 0)
        code = command(gic.fd, KVM_DEV_ARM_VGIC_SAVE_PENDING_TABLES);
    if (code < 0)
        return crosh_error_set(err, code, "the interrupt controller's tables cannot be saved: %s",
                               strerror(-code));
    code = save_gic(machine, &gic, err);
    save_its(&its);
    state->n_gic = gic.count;
    state->n_its = its.count;
    if (code == 0 && (gic.is_out_of_memory || its.is_out_of_memory))
        return crosh_error_set(err, -ENOMEM, "out of memory");
    return code;
}

static int put(int fd, const Snapshot__GicRegister *reg, struct crosh_error *err)
{
    uint64_t value = reg->value;
    int code = access_attribute(fd, KVM_SET_DEVICE_ATTR, reg->group, reg->attribute, &value);

    if (code < 0)
        return crosh_error_set(err, code,
                               "the interrupt controller refuses its state (%u, %#llx): %s",
                               reg->group, (unsigned long long)reg->attribute, strerror(-code));
    return 0;
}

/* Only the groups that are saved: others are commands. */
static int check(const Snapshot__GicRegister *reg, bool is_its, struct crosh_error *err)
{
    if (is_its ? reg->group == ITS
               : reg->group == DIST || reg->group == REDIST || reg->group == ICC ||
                     reg->group == LEVEL)
        return 0;
    return crosh_error_set(err, -EBADMSG, "the interrupt controller's state makes no sense");
}

int arm64_gic_restore(struct machine *machine, const Snapshot__Arm64 *state,
                      struct crosh_error *err)
{
    int its_fd = machine->board.its_fd;
    int code = 0;

    for (size_t i = 0; i < state->n_gic && code == 0; i++) {
        code = check(state->gic[i], false, err);
        if (code == 0)
            code = put(machine->board.gic_fd, state->gic[i], err);
    }
    for (size_t i = 0; i < state->n_its && code == 0; i++) {
        code = check(state->its[i], true, err);
        /* The switch comes last: the tables are read before it. */
        if (code == 0 && state->its[i]->attribute == GITS_CTLR) {
            code = command(its_fd, KVM_DEV_ARM_ITS_RESTORE_TABLES);
            if (code < 0)
                return crosh_error_set(err, code, "the ITS refuses its tables: %s",
                                       strerror(-code));
        }
        if (code == 0)
            code = put(its_fd, state->its[i], err);
    }
    return code;
}

/* SPDX-License-Identifier: MIT */
/* The registers of an x86 vcpu that has crashed, and the memory that two of them point to. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include "kvm/backend/arch.h"
#include "kvm/backend/kvm-machine.h"

enum { CODE_BEFORE = 32, CODE_AFTER = 32, STACK_BYTES = 128, PAGE = 4096 };

static void add_hex(json_t *object, const char *name, uint64_t value)
{
    char text[24];

    (void)snprintf(text, sizeof(text), "%#" PRIx64, value);
    (void)json_object_set_new(object, name, json_string(text));
}

static void add_general(json_t *object, const struct kvm_regs *regs)
{
    const struct {
        const char *name;
        uint64_t value;
    } shown[] = {{"rip", regs->rip}, {"rflags", regs->rflags}, {"rsp", regs->rsp},
                 {"rbp", regs->rbp}, {"rax", regs->rax},       {"rbx", regs->rbx},
                 {"rcx", regs->rcx}, {"rdx", regs->rdx},       {"rsi", regs->rsi},
                 {"rdi", regs->rdi}, {"r8", regs->r8},         {"r9", regs->r9},
                 {"r10", regs->r10}, {"r11", regs->r11},       {"r12", regs->r12},
                 {"r13", regs->r13}, {"r14", regs->r14},       {"r15", regs->r15}};
    json_t *general = json_object();

    for (size_t i = 0; i < sizeof(shown) / sizeof(shown[0]); i++)
        add_hex(general, shown[i].name, shown[i].value);
    (void)json_object_set_new(object, "general", general);
}

static void add_segments(json_t *object, const struct kvm_sregs *sregs)
{
    const struct {
        const char *name;
        const struct kvm_segment *segment;
    } shown[] = {{"cs", &sregs->cs}, {"ds", &sregs->ds}, {"es", &sregs->es}, {"fs", &sregs->fs},
                 {"gs", &sregs->gs}, {"ss", &sregs->ss}, {"tr", &sregs->tr}, {"ldt", &sregs->ldt}};
    json_t *segments = json_object();

    for (size_t i = 0; i < sizeof(shown) / sizeof(shown[0]); i++) {
        const struct kvm_segment *s = shown[i].segment;
        json_t *one = json_object();

        add_hex(one, "selector", s->selector);
        add_hex(one, "base", s->base);
        add_hex(one, "limit", s->limit);
        /* As in the descriptor: type, s, dpl, p; avl, l, db, g. */
        add_hex(one, "flags",
                (uint64_t)s->type | (uint64_t)s->s << 4 | (uint64_t)s->dpl << 5 |
                    (uint64_t)s->present << 7 | (uint64_t)s->avl << 12 | (uint64_t)s->l << 13 |
                    (uint64_t)s->db << 14 | (uint64_t)s->g << 15);
        (void)json_object_set_new(segments, shown[i].name, one);
    }
    (void)json_object_set_new(object, "segments", segments);
}

static void add_control(json_t *object, const struct kvm_sregs *sregs)
{
    json_t *control = json_object();

    add_hex(control, "cr0", sregs->cr0);
    add_hex(control, "cr2", sregs->cr2);
    add_hex(control, "cr3", sregs->cr3);
    add_hex(control, "cr4", sregs->cr4);
    add_hex(control, "cr8", sregs->cr8);
    add_hex(control, "efer", sregs->efer);
    add_hex(control, "gdt_base", sregs->gdt.base);
    add_hex(control, "gdt_limit", sregs->gdt.limit);
    add_hex(control, "idt_base", sregs->idt.base);
    add_hex(control, "idt_limit", sregs->idt.limit);
    add_hex(control, "apic_base", sregs->apic_base);
    (void)json_object_set_new(object, "control", control);
}

/* What was about to be delivered. */
static void add_events(json_t *object, const struct kvm_vcpu *vcpu)
{
    struct kvm_vcpu_events events = {0};

    if (ioctl(vcpu->fd, KVM_GET_VCPU_EVENTS, &events) < 0)
        return;
    (void)json_object_set_new(object, "events",
                              json_pack("{s:b, s:i, s:I, s:b, s:i, s:b}", "exception_injected",
                                        events.exception.injected, "exception", events.exception.nr,
                                        "error_code", (json_int_t)events.exception.error_code,
                                        "interrupt_injected", events.interrupt.injected,
                                        "interrupt", events.interrupt.nr, "nmi_pending",
                                        events.nmi.pending));
}

/* Copies guest memory by virtual address, up to the first page that is not there; the size. */
static size_t read_virtual(const struct kvm_vcpu *vcpu, uint64_t address, uint8_t *to, size_t size)
{
    size_t done = 0;

    while (done < size) {
        struct kvm_translation page = {.linear_address = address + done};
        size_t part = PAGE - (size_t)((address + done) % PAGE);
        const uint8_t *from;

        if (part > size - done)
            part = size - done;
        if (ioctl(vcpu->fd, KVM_TRANSLATE, &page) < 0 || !page.valid)
            break;
        from = guest_memory_at(&vcpu->machine->memory, page.physical_address, part);
        if (from == NULL)
            break;
        memcpy(to + done, from, part);
        done += part;
    }
    return done;
}

static void add_bytes(json_t *object, const char *name, const uint8_t *bytes, size_t size)
{
    char text[2 * STACK_BYTES + 1] = "";

    for (size_t i = 0; i < size && 2 * i + 2 < sizeof(text); i++)
        (void)snprintf(text + 2 * i, 3, "%02x", bytes[i]);
    if (size > 0)
        (void)json_object_set_new(object, name, json_string(text));
}

static void add_memory(json_t *object, const struct kvm_vcpu *vcpu, const struct kvm_regs *regs,
                       const struct kvm_sregs *sregs)
{
    const uint64_t code = sregs->cs.base + regs->rip;
    uint8_t bytes[STACK_BYTES];

    if (read_virtual(vcpu, code - CODE_BEFORE, bytes, CODE_BEFORE) == CODE_BEFORE)
        add_bytes(object, "code_before", bytes, CODE_BEFORE);
    add_bytes(object, "code", bytes, read_virtual(vcpu, code, bytes, CODE_AFTER));
    add_bytes(object, "stack", bytes,
              read_virtual(vcpu, sregs->ss.base + regs->rsp, bytes, STACK_BYTES));
}

void arch_report(struct kvm_vcpu *vcpu, json_t *object)
{
    struct kvm_regs regs = {0};
    struct kvm_sregs sregs = {0};

    if (ioctl(vcpu->fd, KVM_GET_REGS, &regs) < 0 || ioctl(vcpu->fd, KVM_GET_SREGS, &sregs) < 0)
        return;
    add_general(object, &regs);
    add_segments(object, &sregs);
    add_control(object, &sregs);
    add_events(object, vcpu);
    add_memory(object, vcpu, &regs, &sregs);
}

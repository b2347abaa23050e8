/* SPDX-License-Identifier: MIT */
/* What the KVM backend leaves to the processor's architecture: kvm/x86 or kvm/arm64. */
#ifndef KVM_BACKEND_ARCH_H
#define KVM_BACKEND_ARCH_H

/*
 * One of the two directories is built, the one of the processor that crosh is built
 * for. Each has layout.h with the address map (LAYOUT_*; the names that common code
 * uses are in both), board.h with struct arch_board, which is the part of a machine
 * that only it has, and the functions below. All of them run on the loop's thread
 * unless said otherwise; those that return int: 0, or negative with err filled.
 */
#include <jansson.h>
#include <linux/kvm.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <crosh/error.h>

#include "lib/wire/snapshot.pb-c.h"

#if defined(__x86_64__)
#include "kvm/x86/board.h"
#include "kvm/x86/layout.h"
#elif defined(__aarch64__)
#include "kvm/arm64/board.h"
#include "kvm/arm64/layout.h"
#else
#error "the launcher knows no machine for this processor"
#endif

struct kvm_vcpu;
struct machine;
struct machine_config;

/* What KVM must offer beside what every machine needs; the last one's name is NULL. */
struct arch_capability {
    int number;
    const char *name; /* for "this host's KVM lacks ..." */
};
extern const struct arch_capability arch_capabilities[];

/* Whether KVM here can run a stock kernel at all: tried, not looked up. */
int arch_probe(int kvm_fd, struct crosh_error *err);

/* Building a machine, in this order. */

/* The VM is new and empty: what has to be there before memory and vcpus. */
int arch_vm_init(struct machine *machine, struct crosh_error *err);
/* All vcpus are created, in the state that KVM gives them. */
int arch_vcpus_init(struct machine *machine, struct crosh_error *err);
/* The interrupt controllers are complete after this, and accept routes. */
int arch_irqchip_init(struct machine *machine, struct crosh_error *err);
/* How a pin below LAYOUT_PINS reaches the interrupt controller. Pure. */
struct kvm_irq_routing_entry arch_pin_route(unsigned int pin);
/* Everything on the board that is no PCI device, and where PCI is seen beside its ECAM. */
int arch_board_init(struct machine *machine, struct crosh_error *err);
/*
 * Where the virtio device of a number from 0 on has its registers when devices are not on
 * PCI, and which pin is its interrupt's; several may share one. Pure. 0, or -ENOSPC.
 */
int arch_mmio_place(unsigned int number, uint64_t *gpa, unsigned int *pin);
/* The launcher's own kernel parameters. */
extern const char arch_cmdline[];
/*
 * Loads the kernel and sets the first vcpu to its entry; the devices are all there.
 * cmdline is the whole of the kernel's parameters.
 */
int arch_load(struct machine *machine, const struct machine_config *config, const char *cmdline,
              struct crosh_error *err);

/* No vcpu runs any more; accepts a board that was never made. */
void arch_board_fini(struct machine *machine);

/* Running it. */

/* An exit that is none of the common ones, on the vcpu's thread: false when it is unknown. */
bool arch_handle_exit(struct kvm_vcpu *vcpu);
/* The registers a developer asks for first, as text; on the vcpu's thread. */
void arch_describe_registers(struct kvm_vcpu *vcpu, char *text, size_t size);
/* Adds all that can be read of a vcpu's registers; no vcpu runs. On the loop's thread. */
void arch_report(struct kvm_vcpu *vcpu, json_t *object);
/* Whether the machine is given a virtio device for a power button, as it has no other. */
extern const bool arch_needs_button;
void arch_press_power_button(struct machine *machine);
/* Whether guests can be told of devices that come and go; and telling them to look at
   machine->hotplug's registers. */
extern const bool arch_can_hotplug;
void arch_tell_hotplug(struct machine *machine);

/* Snapshots; the machine stands still. */

/* Adds what only this architecture has: vcpus, interrupt controllers, clocks, the board. */
int arch_save(struct machine *machine, Snapshot__Machine *state, struct crosh_error *err);
/*
 * Brings a machine that is built and has never run into that state. -EOPNOTSUPP: this
 * host lacks what the guest was started with.
 */
int arch_restore(struct machine *machine, const Snapshot__Machine *state, struct crosh_error *err);

#endif

/* SPDX-License-Identifier: MIT */
/* What arm64 adds to a snapshot: its vcpus' state, and the interrupt controller's. */
#ifndef KVM_ARM64_STATE_H
#define KVM_ARM64_STATE_H

#include <crosh/error.h>

#include "lib/wire/snapshot.pb-c.h"

struct machine;
struct kvm_vcpu;

/* state-vcpu.c: fills state with all that KVM knows of the vcpu, which is parked. */
int arm64_vcpu_save(struct kvm_vcpu *vcpu, Snapshot__Arm64Vcpu *state, struct crosh_error *err);
/* Brings a vcpu that has not run yet into that state. -EOPNOTSUPP: this host's differs. */
int arm64_vcpu_restore(struct kvm_vcpu *vcpu, const Snapshot__Arm64Vcpu *state,
                       struct crosh_error *err);

/*
 * state-gic.c: fills state with the interrupt controller's registers, and has it write the
 * tables that it keeps in the guest's memory; no vcpu is in KVM_RUN.
 */
int arm64_gic_save(struct machine *machine, Snapshot__Arm64 *state, struct crosh_error *err);
/* The other way, on a machine whose memory and vcpus are restored. */
int arm64_gic_restore(struct machine *machine, const Snapshot__Arm64 *state,
                      struct crosh_error *err);

#endif

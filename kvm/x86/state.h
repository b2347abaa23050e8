/* SPDX-License-Identifier: MIT */
/* What x86 adds to a snapshot: its vcpus' state. */
#ifndef KVM_X86_STATE_H
#define KVM_X86_STATE_H

#include <crosh/error.h>

#include "lib/wire/snapshot.pb-c.h"

struct machine;
struct kvm_vcpu;

/* Fills state with all that KVM knows of the vcpu, which is parked. */
int x86_vcpu_save(struct kvm_vcpu *vcpu, Snapshot__X86Vcpu *state, struct crosh_error *err);
/* Whether this host can run a vcpu with that CPUID table and clock; says what it lacks. */
int x86_vcpu_check(struct kvm_vcpu *vcpu, const Snapshot__X86Vcpu *state, struct crosh_error *err);
/* Brings a vcpu that has not run yet into that state, all but what depends on the others' clocks.
 */
int x86_vcpu_restore(struct kvm_vcpu *vcpu, const Snapshot__X86Vcpu *state,
                     struct crosh_error *err);
/* Sets its time stamp counter, and then what waits for a value of it. */
int x86_vcpu_restore_tsc(struct kvm_vcpu *vcpu, const Snapshot__X86Vcpu *state, uint64_t tsc,
                         struct crosh_error *err);

#endif

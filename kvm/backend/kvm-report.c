/* SPDX-License-Identifier: MIT */
/* What is told of a machine on KVM that has crashed: its vcpus as they stand. */
#include "kvm/backend/arch.h"
#include "kvm/backend/kvm-machine.h"

json_t *kvm_report(struct machine *machine)
{
    json_t *report = json_object();
    json_t *vcpus = json_array();

    for (unsigned int i = 0; i < machine->vcpu_count; i++) {
        struct kvm_vcpu *vcpu = &machine->vcpu[i];
        json_t *object = json_object();
        const struct kvm_run *run = vcpu->run;

        (void)json_object_set_new(object, "index", json_integer((json_int_t)i));
        (void)json_object_set_new(object, "exit_reason", json_integer(run->exit_reason));
        if (run->exit_reason == KVM_EXIT_INTERNAL_ERROR)
            (void)json_object_set_new(object, "suberror", json_integer(run->internal.suberror));
        arch_report(vcpu, object);
        (void)json_array_append_new(vcpus, object);
    }
    (void)json_object_set_new(report, "vcpus", vcpus);
    return report;
}

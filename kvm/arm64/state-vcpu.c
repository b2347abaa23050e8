/* SPDX-License-Identifier: MIT */
/* Saves and restores a vcpu on arm64: every register that KVM lists. */

/*
 * KVM gives all of a vcpu as registers with numbers (KVM_GET_REG_LIST), the virtual
 * counter and KVM's own choices (its version of PSCI) among them. Some only tell what
 * the processor is and cannot be written: where the host has another value there, the
 * guest was started on another kind of processor, and is refused.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "kvm/arm64/state.h"
#include "kvm/backend/kvm-machine.h"
#include "kvm/snapshot/format.h"
#include "lib/base/cleanup.h"

enum {
    REGISTERS_MAX = 4096,
    REGISTER_BYTES_MAX = 256, /* the largest size that an id can give */
};

static size_t register_size(uint64_t id)
{
    return (size_t)1 << ((id & KVM_REG_SIZE_MASK) >> KVM_REG_SIZE_SHIFT);
}

static int access_register(int vcpu_fd, unsigned long request, uint64_t id, void *value)
{
    struct kvm_one_reg reg = {.id = id, .addr = (uintptr_t)value};

    return ioctl(vcpu_fd, request, &reg);
}

static struct kvm_reg_list *list_registers(int vcpu_fd, struct crosh_error *err)
{
    struct kvm_reg_list *list = calloc(1, sizeof(*list) + REGISTERS_MAX * sizeof(list->reg[0]));

    if (list == NULL) {
        crosh_error_set(err, -ENOMEM, "out of memory");
        return NULL;
    }
    list->n = REGISTERS_MAX;
    if (ioctl(vcpu_fd, KVM_GET_REG_LIST, list) < 0) {
        crosh_error_errno(err, "KVM_GET_REG_LIST");
        free(list);
        return NULL;
    }
    return list;
}

static int save_register(int vcpu_fd, uint64_t id, Snapshot__Arm64Vcpu *state,
                         struct crosh_error *err)
{
    uint8_t value[REGISTER_BYTES_MAX];
    Snapshot__Arm64Register *reg;

    if (register_size(id) > sizeof(value) ||
        access_register(vcpu_fd, KVM_GET_ONE_REG, id, value) < 0)
        return crosh_error_set(err, -EIO, "KVM does not tell register %#" PRIx64, id);
    reg = SNAPSHOT_NEW(Snapshot__Arm64Register, snapshot__arm64_register__init);
    if (reg == NULL)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    state->registers[state->n_registers++] = reg;
    reg->id = id;
    return snapshot_set_bytes(&reg->value, value, register_size(id)) < 0
               ? crosh_error_set(err, -ENOMEM, "out of memory")
               : 0;
}

int arm64_vcpu_save(struct kvm_vcpu *vcpu, Snapshot__Arm64Vcpu *state, struct crosh_error *err)
{
    cleanup_free struct kvm_reg_list *list = list_registers(vcpu->fd, err);
    struct kvm_vcpu_events events = {0};
    struct kvm_mp_state mp_state;

    if (list == NULL)
        return err->code;
    state->registers = calloc(list->n + 1, sizeof(*state->registers));
    if (state->registers == NULL)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    for (uint64_t i = 0; i < list->n; i++) {
        int code = save_register(vcpu->fd, list->reg[i], state, err);

        if (code < 0)
            return code;
    }
    if (ioctl(vcpu->fd, KVM_GET_VCPU_EVENTS, &events) < 0)
        return crosh_error_errno(err, "KVM_GET_VCPU_EVENTS");
    if (ioctl(vcpu->fd, KVM_GET_MP_STATE, &mp_state) < 0)
        return crosh_error_errno(err, "KVM_GET_MP_STATE");
    state->mp_state = mp_state.mp_state;
    return snapshot_set_bytes(&state->events, &events, sizeof(events)) < 0
               ? crosh_error_set(err, -ENOMEM, "out of memory")
               : 0;
}

static int restore_register(int vcpu_fd, const Snapshot__Arm64Register *reg,
                            struct crosh_error *err)
{
    uint8_t here[REGISTER_BYTES_MAX];

    /* KVM reads as many bytes as the id says. */
    if (reg->value.len != register_size(reg->id) || reg->value.len > sizeof(here))
        return crosh_error_set(err, -EBADMSG, "register %#" PRIx64 " makes no sense",
                               (uint64_t)reg->id);
    if (access_register(vcpu_fd, KVM_SET_ONE_REG, reg->id, reg->value.data) == 0)
        return 0;
    if (access_register(vcpu_fd, KVM_GET_ONE_REG, reg->id, here) == 0 &&
        memcmp(here, reg->value.data, reg->value.len) == 0)
        return 0;
    return crosh_error_set(err, -EOPNOTSUPP,
                           "this host's CPU differs from the one that the guest was started on "
                           "(register %#" PRIx64 ")",
                           (uint64_t)reg->id);
}

int arm64_vcpu_restore(struct kvm_vcpu *vcpu, const Snapshot__Arm64Vcpu *state,
                       struct crosh_error *err)
{
    struct kvm_mp_state mp_state = {.mp_state = state->mp_state};
    struct kvm_vcpu_events events;

    if (state->n_registers > REGISTERS_MAX || state->events.len != sizeof(events))
        return crosh_error_set(err, -EBADMSG, "its state makes no sense");
    memcpy(&events, state->events.data, sizeof(events));
    for (size_t i = 0; i < state->n_registers; i++) {
        int code = restore_register(vcpu->fd, state->registers[i], err);

        if (code < 0)
            return code;
    }
    if (ioctl(vcpu->fd, KVM_SET_VCPU_EVENTS, &events) < 0)
        return crosh_error_errno(err, "KVM_SET_VCPU_EVENTS");
    if (ioctl(vcpu->fd, KVM_SET_MP_STATE, &mp_state) < 0)
        return crosh_error_errno(err, "KVM_SET_MP_STATE");
    return 0;
}

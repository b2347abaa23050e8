/* SPDX-License-Identifier: MIT */
/* Saves and restores a vcpu on x86, and judges whether this host can run it. */

/*
 * Theory of operation
 *
 * KVM hands a vcpu's state out in pieces whose order matters on the way back: the
 * CPUID table says what exists; the system registers hold the local APIC's mode, which
 * the APIC's own registers need; the deadline of its timer is only accepted in the
 * timer's mode, and means something only once the time stamp counter is set.
 *
 * Model-specific registers are saved as KVM lists them, all that can be read. Not all
 * that can be read can be written: one that KVM refuses has to have the value already.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "kvm/backend/kvm-machine.h"
#include "kvm/snapshot/format.h"
#include "kvm/x86/cpu.h"
#include "kvm/x86/state.h"
#include "lib/base/cleanup.h"

enum {
    CPUID_MAX = 256,
    MSRS_MAX = 1024,
    XSAVE_MAX = 1 << 16,
    NESTED_MAX = 1 << 16,
    MSR_TSC = 0x10,
    MSR_TSC_DEADLINE = 0x6e0,
    /* How far two hosts' clocks may differ, in millionths: what time keeping corrects. */
    TSC_TOLERANCE_PPM = 250,
};

/* ---- One register ---- */

static int access_msr(int vcpu_fd, unsigned long request, uint32_t number, uint64_t *value)
{
    union {
        struct kvm_msrs msrs;
        uint8_t room[sizeof(struct kvm_msrs) + sizeof(struct kvm_msr_entry)];
    } one = {0};
    int done;

    one.msrs.nmsrs = 1;
    one.msrs.entries[0] = (struct kvm_msr_entry){.index = number, .data = *value};
    done = ioctl(vcpu_fd, request, &one);
    if (done != 1)
        return done < 0 ? -errno : -ENOENT;
    *value = one.msrs.entries[0].data;
    return 0;
}

static int get_msr(int vcpu_fd, uint32_t number, uint64_t *value)
{
    *value = 0;
    return access_msr(vcpu_fd, KVM_GET_MSRS, number, value);
}

static int set_msr(int vcpu_fd, uint32_t number, uint64_t value)
{
    return access_msr(vcpu_fd, KVM_SET_MSRS, number, &value);
}

/* ---- Saving ---- */

static int save_piece(int fd, unsigned long request, const char *name, void *buffer, size_t size,
                      ProtobufCBinaryData *to, struct crosh_error *err)
{
    memset(buffer, 0, size);
    if (ioctl(fd, request, buffer) < 0)
        return crosh_error_errno(err, "%s", name);
    return snapshot_set_bytes(to, buffer, size) < 0 ? crosh_error_set(err, -ENOMEM, "out of memory")
                                                    : 0;
}

static size_t xsave_size(int vm_fd)
{
    int size = ioctl(vm_fd, KVM_CHECK_EXTENSION, KVM_CAP_XSAVE2);

    return size > (int)sizeof(struct kvm_xsave) && size <= XSAVE_MAX ? (size_t)size
                                                                     : sizeof(struct kvm_xsave);
}

static int save_xsave(struct kvm_vcpu *vcpu, Snapshot__X86Vcpu *state, struct crosh_error *err)
{
    size_t size = xsave_size(vcpu->machine->vm_fd);
    cleanup_free void *buffer = malloc(size);

    if (buffer == NULL)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    return save_piece(vcpu->fd, size > sizeof(struct kvm_xsave) ? KVM_GET_XSAVE2 : KVM_GET_XSAVE,
                      "KVM_GET_XSAVE", buffer, size, &state->xsave, err);
}

static int save_cpuid(struct kvm_vcpu *vcpu, Snapshot__X86Vcpu *state, struct crosh_error *err)
{
    cleanup_free struct kvm_cpuid2 *cpuid =
        calloc(1, sizeof(*cpuid) + CPUID_MAX * sizeof(cpuid->entries[0]));

    if (cpuid == NULL)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    cpuid->nent = CPUID_MAX;
    if (ioctl(vcpu->fd, KVM_GET_CPUID2, cpuid) < 0)
        return crosh_error_errno(err, "KVM_GET_CPUID2");
    return snapshot_set_bytes(&state->cpuid, cpuid->entries,
                              cpuid->nent * sizeof(cpuid->entries[0])) < 0
               ? crosh_error_set(err, -ENOMEM, "out of memory")
               : 0;
}

static int save_nested(struct kvm_vcpu *vcpu, Snapshot__X86Vcpu *state, struct crosh_error *err)
{
    int size = ioctl(vcpu->machine->vm_fd, KVM_CHECK_EXTENSION, KVM_CAP_NESTED_STATE);
    cleanup_free struct kvm_nested_state *nested = NULL;

    if (size < (int)sizeof(*nested) || size > NESTED_MAX)
        return 0;
    nested = calloc(1, (size_t)size);
    if (nested == NULL)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    nested->size = (uint32_t)size;
    if (ioctl(vcpu->fd, KVM_GET_NESTED_STATE, nested) < 0)
        return crosh_error_errno(err, "KVM_GET_NESTED_STATE");
    if (nested->size > (uint32_t)size)
        return crosh_error_set(err, -EIO, "KVM_GET_NESTED_STATE");
    return snapshot_set_bytes(&state->nested, nested, nested->size) < 0
               ? crosh_error_set(err, -ENOMEM, "out of memory")
               : 0;
}

static struct kvm_msr_list *list_msrs(int kvm_fd, struct crosh_error *err)
{
    struct kvm_msr_list *list = calloc(1, sizeof(*list) + MSRS_MAX * sizeof(list->indices[0]));

    if (list == NULL) {
        crosh_error_set(err, -ENOMEM, "out of memory");
        return NULL;
    }
    list->nmsrs = MSRS_MAX;
    if (ioctl(kvm_fd, KVM_GET_MSR_INDEX_LIST, list) < 0) {
        crosh_error_errno(err, "KVM_GET_MSR_INDEX_LIST");
        free(list);
        return NULL;
    }
    return list;
}

static int save_msrs(struct kvm_vcpu *vcpu, Snapshot__X86Vcpu *state, struct crosh_error *err)
{
    cleanup_free struct kvm_msr_list *list = list_msrs(vcpu->machine->kvm_fd, err);

    if (list == NULL)
        return err->code;
    state->msr_number = calloc(list->nmsrs + 1, sizeof(*state->msr_number));
    state->msr_value = calloc(list->nmsrs + 1, sizeof(*state->msr_value));
    if (state->msr_number == NULL || state->msr_value == NULL)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    for (uint32_t i = 0; i < list->nmsrs; i++) {
        uint64_t value;

        if (list->indices[i] == MSR_TSC || get_msr(vcpu->fd, list->indices[i], &value) < 0)
            continue;
        state->msr_number[state->n_msr_number++] = list->indices[i];
        state->msr_value[state->n_msr_value++] = value;
    }
    if (get_msr(vcpu->fd, MSR_TSC, &state->tsc) < 0)
        return crosh_error_set(err, -EIO, "KVM does not tell the time stamp counter");
    return 0;
}

int x86_vcpu_save(struct kvm_vcpu *vcpu, Snapshot__X86Vcpu *state, struct crosh_error *err)
{
    union {
        struct kvm_regs regs;
        struct kvm_sregs sregs;
        struct kvm_xcrs xcrs;
        struct kvm_debugregs debugregs;
        struct kvm_lapic_state lapic;
        struct kvm_vcpu_events events;
    } piece;
    struct kvm_mp_state mp_state;
    int khz = ioctl(vcpu->fd, KVM_GET_TSC_KHZ, 0);
    int code;

    /* First: it has KVM carry out what an INIT or SIPI that is pending does to the others. */
    if (ioctl(vcpu->fd, KVM_GET_MP_STATE, &mp_state) < 0)
        return crosh_error_errno(err, "KVM_GET_MP_STATE");
    state->mp_state = mp_state.mp_state;
    state->tsc_khz = khz > 0 ? (uint32_t)khz : 0;
    code = save_piece(vcpu->fd, KVM_GET_REGS, "KVM_GET_REGS", &piece, sizeof(piece.regs),
                      &state->regs, err);
    if (code == 0)
        code = save_piece(vcpu->fd, KVM_GET_SREGS, "KVM_GET_SREGS", &piece, sizeof(piece.sregs),
                          &state->sregs, err);
    if (code == 0)
        code = save_piece(vcpu->fd, KVM_GET_XCRS, "KVM_GET_XCRS", &piece, sizeof(piece.xcrs),
                          &state->xcrs, err);
    if (code == 0)
        code = save_piece(vcpu->fd, KVM_GET_DEBUGREGS, "KVM_GET_DEBUGREGS", &piece,
                          sizeof(piece.debugregs), &state->debugregs, err);
    if (code == 0)
        code = save_piece(vcpu->fd, KVM_GET_LAPIC, "KVM_GET_LAPIC", &piece, sizeof(piece.lapic),
                          &state->lapic, err);
    if (code == 0)
        code = save_piece(vcpu->fd, KVM_GET_VCPU_EVENTS, "KVM_GET_VCPU_EVENTS", &piece,
                          sizeof(piece.events), &state->events, err);
    if (code == 0)
        code = save_xsave(vcpu, state, err);
    if (code == 0)
        code = save_cpuid(vcpu, state, err);
    if (code == 0)
        code = save_nested(vcpu, state, err);
    return code < 0 ? code : save_msrs(vcpu, state, err);
}

/* ---- What this host must have ---- */

/* Bits that say what is switched on, or who it is, rather than what the CPU can do. */
enum {
    LEAF_1_ECX_OSXSAVE = 1 << 27,
    LEAF_1_EDX_APIC = 1 << 9,
    LEAF_1_ECX_MONITOR = 1 << 3,
    LEAF_7_ECX_OSPKE = 1 << 4,
};

/* The registers of CPUID whose bits are features, each a promise to the guest. */
static const struct feature_leaf {
    uint32_t function, index;
    /* eax, ebx, ecx, edx: the bits looked at */
    uint32_t mask[4];
} feature_leaves[] = {
    {0x1,
     0,
     {0, 0, ~(uint32_t)(LEAF_1_ECX_OSXSAVE | LEAF_1_ECX_MONITOR), ~(uint32_t)LEAF_1_EDX_APIC}},
    {0x7, 0, {0, ~0u, ~(uint32_t)LEAF_7_ECX_OSPKE, ~0u}},
    {0x7, 1, {~0u, 0, 0, ~0u}},
    {0xd, 0, {~0u, 0, 0, ~0u}},
    {0xd, 1, {~0u, 0, ~0u, ~0u}},
    {0x80000001, 0, {0, 0, ~0u, ~0u}},
    {0x80000007, 0, {0, 0, 0, ~0u}},
    {0x80000008, 0, {0, ~0u, 0, 0}},
    {0x40000001, 0, {~0u, 0, 0, 0}}, /* KVM's own */
};

static const struct kvm_cpuid_entry2 *find_leaf(const struct kvm_cpuid_entry2 *entry, size_t count,
                                                uint32_t function, uint32_t index)
{
    for (size_t i = 0; i < count; i++)
        if (entry[i].function == function &&
            ((entry[i].flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX) == 0 || entry[i].index == index))
            return &entry[i];
    return NULL;
}

static int check_leaf(const struct feature_leaf *leaf, const struct kvm_cpuid_entry2 *wanted,
                      const struct kvm_cpuid_entry2 *here, struct crosh_error *err)
{
    static const char *const names[] = {"eax", "ebx", "ecx", "edx"};
    const uint32_t want[4] = {wanted->eax, wanted->ebx, wanted->ecx, wanted->edx};
    uint32_t have[4] = {0};

    if (here != NULL)
        memcpy(have, (const uint32_t[4]){here->eax, here->ebx, here->ecx, here->edx}, sizeof(have));
    for (int i = 0; i < 4; i++) {
        uint32_t missing = want[i] & leaf->mask[i] & ~have[i];

        if (missing != 0)
            return crosh_error_set(err, -EOPNOTSUPP,
                                   "this host's CPU lacks features that the guest was started "
                                   "with (CPUID %#x.%u, %s bits %#x)",
                                   leaf->function, leaf->index, names[i], missing);
    }
    return 0;
}

static int check_vendor(const struct kvm_cpuid_entry2 *wanted, const struct kvm_cpuid_entry2 *here,
                        struct crosh_error *err)
{
    if (wanted != NULL && here != NULL && wanted->ebx == here->ebx && wanted->ecx == here->ecx &&
        wanted->edx == here->edx)
        return 0;
    return crosh_error_set(err, -EOPNOTSUPP, "this host's CPU is of another vendor");
}

static int check_tsc(struct kvm_vcpu *vcpu, uint32_t wanted, struct crosh_error *err)
{
    int here = ioctl(vcpu->fd, KVM_GET_TSC_KHZ, 0);
    uint32_t tolerance = (uint32_t)((uint64_t)wanted * TSC_TOLERANCE_PPM / 1000000);

    if (wanted == 0 || here <= 0)
        return 0; /* it was not told, or is not: nothing to go by */
    if ((uint32_t)here >= wanted - tolerance && (uint32_t)here <= wanted + tolerance)
        return 0;
    /* Where the CPU can scale its counter, KVM has it run at the guest's pace. */
    if (ioctl(vcpu->machine->kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_TSC_CONTROL) > 0 &&
        ioctl(vcpu->fd, KVM_SET_TSC_KHZ, (unsigned long)wanted) == 0)
        return 0;
    return crosh_error_set(err, -EOPNOTSUPP,
                           "this host's time stamp counter runs at %d kHz, the guest's at %u", here,
                           wanted);
}

int x86_vcpu_check(struct kvm_vcpu *vcpu, const Snapshot__X86Vcpu *state, struct crosh_error *err)
{
    cleanup_free struct kvm_cpuid2 *here =
        calloc(1, sizeof(*here) + CPUID_MAX * sizeof(here->entries[0]));
    size_t count = state->cpuid.len / sizeof(here->entries[0]);
    cleanup_free struct kvm_cpuid_entry2 *wanted = NULL;

    if (count == 0 || count > CPUID_MAX || state->cpuid.len % sizeof(here->entries[0]) != 0)
        return crosh_error_set(err, -EBADMSG, "the CPUID table makes no sense");
    wanted = malloc(state->cpuid.len);
    if (wanted == NULL || here == NULL)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    memcpy(wanted, state->cpuid.data, state->cpuid.len);
    here->nent = CPUID_MAX;
    /* As it was just set up for a boot on this host. */
    if (ioctl(vcpu->fd, KVM_GET_CPUID2, here) < 0)
        return crosh_error_errno(err, "KVM_GET_CPUID2");
    if (check_vendor(find_leaf(wanted, count, 0, 0), find_leaf(here->entries, here->nent, 0, 0),
                     err) < 0)
        return err->code;
    for (size_t i = 0; i < sizeof(feature_leaves) / sizeof(feature_leaves[0]); i++) {
        const struct feature_leaf *leaf = &feature_leaves[i];
        const struct kvm_cpuid_entry2 *entry =
            find_leaf(wanted, count, leaf->function, leaf->index);

        if (entry != NULL &&
            check_leaf(leaf, entry,
                       find_leaf(here->entries, here->nent, leaf->function, leaf->index), err) < 0)
            return err->code;
    }
    return check_tsc(vcpu, state->tsc_khz, err);
}

/* ---- Restoring ---- */

static int restore_piece(int fd, unsigned long request, const char *name, size_t size,
                         const ProtobufCBinaryData *from, struct crosh_error *err)
{
    /* KVM reads structures of known sizes: none may be cut short. */
    if (from->len != size)
        return crosh_error_set(err, -EBADMSG, "the state for %s makes no sense", name);
    if (ioctl(fd, request, from->data) < 0)
        return crosh_error_errno(err, "%s", name);
    return 0;
}

static int restore_xsave(struct kvm_vcpu *vcpu, const Snapshot__X86Vcpu *state,
                         struct crosh_error *err)
{
    size_t size = xsave_size(vcpu->machine->vm_fd);
    cleanup_free void *buffer = calloc(1, size);

    if (buffer == NULL)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    if (state->xsave.len < sizeof(struct kvm_xsave) || state->xsave.len > size)
        return crosh_error_set(err, -EBADMSG, "the state for KVM_SET_XSAVE makes no sense");
    memcpy(buffer, state->xsave.data, state->xsave.len);
    return ioctl(vcpu->fd, KVM_SET_XSAVE, buffer) < 0 ? crosh_error_errno(err, "KVM_SET_XSAVE") : 0;
}

static int restore_cpuid(struct kvm_vcpu *vcpu, const Snapshot__X86Vcpu *state,
                         struct crosh_error *err)
{
    cleanup_free struct kvm_cpuid2 *cpuid = calloc(1, sizeof(*cpuid) + state->cpuid.len);

    if (cpuid == NULL)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    cpuid->nent = (uint32_t)(state->cpuid.len / sizeof(cpuid->entries[0]));
    memcpy(cpuid->entries, state->cpuid.data, state->cpuid.len);
    return ioctl(vcpu->fd, KVM_SET_CPUID2, cpuid) < 0 ? crosh_error_errno(err, "KVM_SET_CPUID2")
                                                      : 0;
}

static int restore_nested(struct kvm_vcpu *vcpu, const Snapshot__X86Vcpu *state,
                          struct crosh_error *err)
{
    struct kvm_nested_state header;

    if (state->nested.len == 0)
        return 0;
    if (state->nested.len < sizeof(header) || state->nested.len > NESTED_MAX)
        return crosh_error_set(err, -EBADMSG, "the state for KVM_SET_NESTED_STATE makes no sense");
    memcpy(&header, state->nested.data, sizeof(header));
    if (header.size != state->nested.len)
        return crosh_error_set(err, -EBADMSG, "the state for KVM_SET_NESTED_STATE makes no sense");
    if (ioctl(vcpu->machine->vm_fd, KVM_CHECK_EXTENSION, KVM_CAP_NESTED_STATE) <= 0)
        return crosh_error_set(err, -EOPNOTSUPP, "this host has no nested virtualization");
    return ioctl(vcpu->fd, KVM_SET_NESTED_STATE, state->nested.data) < 0
               ? crosh_error_errno(err, "KVM_SET_NESTED_STATE")
               : 0;
}

static int restore_msr(struct kvm_vcpu *vcpu, uint32_t number, uint64_t value,
                       struct crosh_error *err)
{
    uint64_t present;

    if (set_msr(vcpu->fd, number, value) == 0 ||
        (get_msr(vcpu->fd, number, &present) == 0 && present == value))
        return 0;
    return crosh_error_set(err, -EIO, "KVM refuses %#llx for MSR %#x", (unsigned long long)value,
                           number);
}

static int restore_msrs(struct kvm_vcpu *vcpu, const Snapshot__X86Vcpu *state,
                        struct crosh_error *err)
{
    cleanup_free struct kvm_msrs *msrs =
        calloc(1, sizeof(*msrs) + MSRS_MAX * sizeof(msrs->entries[0]));
    uint32_t count = 0;

    if (msrs == NULL)
        return crosh_error_set(err, -ENOMEM, "out of memory");
    if (state->n_msr_number != state->n_msr_value || state->n_msr_number > MSRS_MAX)
        return crosh_error_set(err, -EBADMSG, "the list of MSRs makes no sense");
    for (size_t i = 0; i < state->n_msr_number; i++) {
        uint32_t number = state->msr_number[i];

        if (number != MSR_TSC && number != MSR_TSC_DEADLINE) /* x86_vcpu_restore_tsc() */
            msrs->entries[count++] =
                (struct kvm_msr_entry){.index = number, .data = state->msr_value[i]};
    }
    /* All at once; KVM stops at the first that it refuses. */
    while (count > 0) {
        int done;

        msrs->nmsrs = count;
        done = ioctl(vcpu->fd, KVM_SET_MSRS, msrs);
        if (done < 0)
            return crosh_error_errno(err, "KVM_SET_MSRS");
        if ((uint32_t)done >= count)
            break;
        if (restore_msr(vcpu, msrs->entries[done].index, msrs->entries[done].data, err) < 0)
            return err->code;
        count -= (uint32_t)done + 1;
        memmove(msrs->entries, msrs->entries + done + 1, count * sizeof(msrs->entries[0]));
    }
    return 0;
}

int x86_vcpu_restore(struct kvm_vcpu *vcpu, const Snapshot__X86Vcpu *state, struct crosh_error *err)
{
    struct kvm_mp_state mp_state = {.mp_state = state->mp_state};
    int code = restore_cpuid(vcpu, state, err);

    if (code == 0)
        code = restore_piece(vcpu->fd, KVM_SET_SREGS, "KVM_SET_SREGS", sizeof(struct kvm_sregs),
                             &state->sregs, err);
    if (code == 0)
        code = restore_nested(vcpu, state, err);
    if (code == 0)
        code = restore_piece(vcpu->fd, KVM_SET_REGS, "KVM_SET_REGS", sizeof(struct kvm_regs),
                             &state->regs, err);
    if (code == 0)
        code = restore_piece(vcpu->fd, KVM_SET_XCRS, "KVM_SET_XCRS", sizeof(struct kvm_xcrs),
                             &state->xcrs, err);
    if (code == 0)
        code = restore_xsave(vcpu, state, err);
    if (code == 0)
        code = restore_piece(vcpu->fd, KVM_SET_DEBUGREGS, "KVM_SET_DEBUGREGS",
                             sizeof(struct kvm_debugregs), &state->debugregs, err);
    if (code == 0)
        code = restore_piece(vcpu->fd, KVM_SET_LAPIC, "KVM_SET_LAPIC",
                             sizeof(struct kvm_lapic_state), &state->lapic, err);
    if (code == 0)
        code = restore_msrs(vcpu, state, err);
    if (code == 0)
        code = restore_piece(vcpu->fd, KVM_SET_VCPU_EVENTS, "KVM_SET_VCPU_EVENTS",
                             sizeof(struct kvm_vcpu_events), &state->events, err);
    if (code == 0 && ioctl(vcpu->fd, KVM_SET_MP_STATE, &mp_state) < 0)
        code = crosh_error_errno(err, "KVM_SET_MP_STATE");
    return code;
}

int x86_vcpu_restore_tsc(struct kvm_vcpu *vcpu, const Snapshot__X86Vcpu *state, uint64_t tsc,
                         struct crosh_error *err)
{
    int code = restore_msr(vcpu, MSR_TSC, tsc, err);

    for (size_t i = 0; i < state->n_msr_number && code == 0; i++)
        if (state->msr_number[i] == MSR_TSC_DEADLINE)
            code = restore_msr(vcpu, MSR_TSC_DEADLINE, state->msr_value[i], err);
    return code;
}

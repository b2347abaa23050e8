/* SPDX-License-Identifier: MIT */
/* Tests what CPUID tells the guest of its vcpus, whatever the host's CPU says of itself. */
#include "tests/unit/cmocka-prelude.h"

#include <stdlib.h>
#include <string.h>

#include "kvm/x86/cpu.h"

enum { ROOM = 16 };

/* A host that is full of itself: VMX, SVM, 64 threads, APIC id 0x77. */
static struct kvm_cpuid2 *host_table(void)
{
    static const struct kvm_cpuid_entry2 host[] = {
        {.function = 0x1, .eax = 0x806f8, .ebx = 0x77400800, .ecx = 0x20, .edx = 1u << 28},
        {.function = 0x4, .index = 0, .eax = 0xfc004121},
        {.function = 0x4, .index = 3, .eax = 0xfc0fc163},
        {.function = 0x4, .index = 4},
        {.function = 0xb, .index = 0},
        {.function = 0x80000001, .ecx = 0x7},
        {.function = 0x80000008, .eax = 0x3930, .ecx = 0x603f},
        {.function = 0x8000001e, .eax = 0x77, .ebx = 0x1ff, .ecx = 3},
    };
    size_t count = sizeof(host) / sizeof(host[0]);
    struct kvm_cpuid2 *table = calloc(1, sizeof(*table) + ROOM * sizeof(struct kvm_cpuid_entry2));

    assert_non_null(table);
    memcpy(table->entries, host, sizeof(host));
    table->nent = (uint32_t)count;
    return table;
}

static const struct kvm_cpuid_entry2 *leaf(const struct kvm_cpuid2 *table, uint32_t function,
                                           uint32_t index)
{
    for (uint32_t i = 0; i < table->nent; i++) {
        if (table->entries[i].function == function && table->entries[i].index == index)
            return &table->entries[i];
    }
    fail_msg("no leaf %#x.%u", function, index);
    return NULL;
}

static void test_complete(void **state)
{
    struct kvm_cpuid2 *table = host_table();
    uint32_t before = table->nent;

    (void)state;
    cpu_complete_cpuid(table);
    assert_int_equal(table->nent, before + 1); /* 0xb.1; there is no leaf 0x1f */
    assert_int_equal(leaf(table, 0xb, 1)->flags, KVM_CPUID_FLAG_SIGNIFCANT_INDEX);
    cpu_complete_cpuid(table);
    assert_int_equal(table->nent, before + 1);
    free(table);
}

static void test_patch(void **state)
{
    (void)state;
    for (unsigned int count = 1; count <= 8; count++) {
        for (unsigned int index = 0; index < count; index++) {
            struct kvm_cpuid2 *table = host_table();
            const struct kvm_cpuid_entry2 *entry;
            unsigned int bits = 0;

            while (1u << bits < count)
                bits++;
            cpu_complete_cpuid(table);
            cpu_patch_cpuid(table, index, count, 1);

            entry = leaf(table, 1, 0);
            assert_int_equal(entry->eax, 0x806f8);
            assert_int_equal(entry->ebx >> 24, index);
            assert_int_equal(entry->ebx >> 16 & 0xff, count);
            assert_int_equal(entry->ebx & 0xffff, 0x0800);
            assert_true((entry->ecx & 1u << 31) != 0);
            assert_true((entry->ecx & 1u << 24) != 0);
            assert_true((entry->ecx & 1u << 5) == 0);
            assert_int_equal(entry->edx >> 28 & 1, count > 1);

            /* The first level belongs to one core, the third to all. */
            assert_int_equal(leaf(table, 4, 0)->eax >> 14 & 0xfff, 0);
            assert_int_equal(leaf(table, 4, 3)->eax >> 14 & 0xfff, (1u << bits) - 1);
            assert_int_equal(leaf(table, 4, 3)->eax >> 26, (1u << bits) - 1);
            assert_int_equal(leaf(table, 4, 4)->eax, 0);

            assert_int_equal(leaf(table, 0xb, 0)->ecx, 1 << 8);
            assert_int_equal(leaf(table, 0xb, 0)->ebx, 1);
            assert_int_equal(leaf(table, 0xb, 1)->ecx, 2 << 8 | 1);
            assert_int_equal(leaf(table, 0xb, 1)->ebx, count);
            assert_int_equal(leaf(table, 0xb, 1)->eax, bits);
            assert_int_equal(leaf(table, 0xb, 1)->edx, index);

            assert_int_equal(leaf(table, 0x80000001, 0)->ecx, 0x3);
            assert_int_equal(leaf(table, 0x80000008, 0)->eax, 0x3930);
            assert_int_equal(leaf(table, 0x80000008, 0)->ecx, bits << 12 | (count - 1));
            assert_int_equal(leaf(table, 0x8000001e, 0)->eax, index);
            assert_int_equal(leaf(table, 0x8000001e, 0)->ecx, 0);
            free(table);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_complete),
        cmocka_unit_test(test_patch),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

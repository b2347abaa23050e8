/* SPDX-License-Identifier: MIT */
/* Tests the guest memory map: nothing outside a region is ever reached. */
#include "tests/unit/cmocka-prelude.h"

#include <errno.h>

#include "kvm/guest-memory.h"

static uint8_t low[4096], high[8192];

static void regions_are_kept_apart(void **state)
{
    struct guest_memory memory = {0};

    (void)state;
    assert_int_equal(guest_memory_add(&memory, 0x10000, sizeof(high), high, 0), 0);
    assert_int_equal(guest_memory_add(&memory, 0x1000, sizeof(low), low, 0), 0);
    assert_int_equal(guest_memory_add(&memory, 0x1fff, 1, low, 0), -EINVAL);
    assert_int_equal(guest_memory_add(&memory, 0xffff, 2, low, 0), -EINVAL);
    assert_int_equal(guest_memory_add(&memory, 0x5000, 0, low, 0), -EINVAL);
    assert_int_equal(guest_memory_add(&memory, UINT64_MAX, 2, low, 0), -EINVAL);
    assert_int_equal(memory.count, 2);
    assert_int_equal(memory.region[0].gpa, 0x1000);
}

static void the_map_has_an_end(void **state)
{
    struct guest_memory memory = {0};

    (void)state;
    for (uint64_t i = 0; i < GUEST_MEMORY_MAX_REGIONS; i++)
        assert_int_equal(guest_memory_add(&memory, i * 0x1000, 0x1000, low, 0), 0);
    assert_int_equal(guest_memory_add(&memory, 1ull << 40, 0x1000, low, 0), -ENOSPC);
}

static void only_whole_ranges_are_translated(void **state)
{
    struct guest_memory memory = {0};

    (void)state;
    assert_int_equal(guest_memory_add(&memory, 0x1000, sizeof(low), low, 0x7f0000000000), 0);
    /* Adjacent in guest memory, apart on the host: a range over both has no one pointer. */
    assert_int_equal(guest_memory_add(&memory, 0x2000, sizeof(high), high, 0), 0);
    assert_ptr_equal(guest_memory_at(&memory, 0x1000, 1), low);
    assert_ptr_equal(guest_memory_at(&memory, 0x1000, sizeof(low)), low);
    assert_ptr_equal(guest_memory_at(&memory, 0x1fff, 1), low + 4095);
    assert_ptr_equal(guest_memory_at(&memory, 0x2000, 8192), high);
    assert_null(guest_memory_at(&memory, 0x1fff, 2));
    assert_null(guest_memory_at(&memory, 0xfff, 1));
    assert_null(guest_memory_at(&memory, 0x1000, 0));
    assert_null(guest_memory_at(&memory, 0x1000, UINT64_MAX));
    assert_null(guest_memory_at(&memory, UINT64_MAX, 1));
    assert_null(guest_memory_at(&memory, UINT64_MAX - 1, 4));
    assert_null(guest_memory_at(&memory, 0x4000, 1));
}

static void user_addresses_are_translated(void **state)
{
    struct guest_memory memory = {0};
    uint64_t gpa = 0;

    (void)state;
    assert_int_equal(guest_memory_add(&memory, 0x1000, sizeof(low), low, 0x7f0000000000), 0);
    assert_true(guest_memory_from_user(&memory, 0x7f0000000010, 16, &gpa));
    assert_int_equal(gpa, 0x1010);
    assert_false(guest_memory_from_user(&memory, 0x7f0000000ff8, 16, &gpa));
    assert_false(guest_memory_from_user(&memory, 0x7effffffffff, 2, &gpa));
    assert_false(guest_memory_from_user(&memory, 0x7f0000000010, UINT64_MAX, &gpa));
    assert_false(guest_memory_from_user(&memory, 0x7f0000000010, 0, &gpa));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(regions_are_kept_apart),
        cmocka_unit_test(the_map_has_an_end),
        cmocka_unit_test(only_whole_ranges_are_translated),
        cmocka_unit_test(user_addresses_are_translated),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

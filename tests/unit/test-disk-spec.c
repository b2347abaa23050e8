/* SPDX-License-Identifier: MIT */
/* Tests the reading of --disk. */
#include "tests/unit/cmocka-prelude.h"

#include <string.h>

#include "kvm/disk/spec.h"

static int parse(const char *text, struct machine_disk *disk, struct crosh_error *err)
{
    static char copy[256];

    strncpy(copy, text, sizeof(copy) - 1);
    return disk_parse(copy, disk, err);
}

static void test_paths(void **state)
{
    static const struct {
        const char *text, *path;
    } good[] = {
        {"/a/disk.img", "/a/disk.img"}, {"a,,b", "a,b"}, {"a,,,,b,ro", "a,,b"}, {"a=b", "a=b"},
        {"a=b,,c=d,ro", "a=b,c=d"},     {",,", ","},
    };
    static const char *const bad[] = {"", ",ro", "a,b", "a,ro=1", "a,name", "a,,b,c=1", "a,,,b"};
    struct crosh_error err = {0};
    struct machine_disk disk;

    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_int_equal(parse(good[i].text, &disk, &err), 0);
        assert_string_equal(disk.path, good[i].path);
        assert_int_equal(disk.read_only, strstr(good[i].text, ",ro") != NULL);
        assert_int_equal(disk.fd, 0);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(parse(bad[i], &disk, &err), CROSH_EUSAGE);
    assert_int_equal(parse("a,b", &disk, &err), CROSH_EUSAGE);
    assert_string_equal(err.hint, "a comma in a file's name is written twice");
}

static void test_properties(void **state)
{
    struct crosh_error err = {0};
    struct machine_disk disk;

    (void)state;
    assert_int_equal(
        parse("a,name=data-1.x,bps=20M,bps-burst=1G,iops=500,iops-burst=9,ro", &disk, &err), 0);
    assert_string_equal(disk.name, "data-1.x");
    assert_true(disk.read_only);
    assert_int_equal(disk.limits.bytes.per_second, 20 << 20);
    assert_int_equal(disk.limits.bytes.burst, 1 << 30);
    assert_int_equal(disk.limits.operations.per_second, 500);
    assert_int_equal(disk.limits.operations.burst, 9);
    static const char *const bad[] = {
        "a,bps=0",        "a,bps=x",
        "a,bps=",         "a,iops=-1",
        "a,bps=2048T",    "a,bps-burst=5",
        "a,iops-burst=5", "a,name=with space",
        "a,name=-x",      "a,name=1234567890123456789012345",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(parse(bad[i], &disk, &err), CROSH_EUSAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_paths),
        cmocka_unit_test(test_properties),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

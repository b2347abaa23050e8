/* SPDX-License-Identifier: MIT */
/* Leases: kept beside the VM's configuration, and told from what is no lease. */
#include "tests/unit/cmocka-prelude.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <crosh/vm.h>

#include "net/lease.h"
#include "tests/unit/vm-home.h"

static const uint8_t site[PLAN_SITE_BYTES] = {0xfd, 1, 2, 3, 4, 5};

static void make_vm(const char *name)
{
    char path[128];

    close(vm_home_data(name));
    (void)snprintf(path, sizeof(path), "data/crosh/vms/%s/config.json", name);
    vm_home_write(path, "{}");
}

static void write_lease(const char *name, const char *text)
{
    char path[128];

    (void)snprintf(path, sizeof(path), "data/crosh/vms/%s/lease", name);
    vm_home_write(path, text);
}

static void a_lease_is_read_as_it_was_written(void **state)
{
    const struct plan_place place = plan_place(3, 17, site);
    struct plan_place found;

    (void)state;
    make_vm("a");
    assert_false(lease_read("a", site, &found));
    assert_int_equal(lease_write("a", &place), 0);
    assert_true(lease_read("a", site, &found));
    assert_int_equal(found.number, 17);
    assert_int_equal(found.range, 3);
    assert_memory_equal(&found.guest6.ipv6, &place.guest6.ipv6, 16);
    /* The next one replaces it. */
    assert_int_equal(lease_write("a", &(struct plan_place){.guest = plan_place(0, 6, site).guest}),
                     0);
    assert_true(lease_read("a", site, &found));
    assert_int_equal(found.number, 6);
    assert_int_equal(lease_write("nobody", &place), -ENOENT);
}

static void what_is_no_lease_is_none(void **state)
{
    static const char *const texts[] = {"",
                                        "\n",
                                        "100.115.92.26\n",
                                        "100.115.92.25/30\n",
                                        "100.115.92.2/30\n",
                                        "10.1.2.3/30\n",
                                        "nonsense"};
    struct plan_place found;

    (void)state;
    make_vm("a");
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        write_lease("a", texts[i]);
        assert_false(lease_read("a", site, &found));
    }
    write_lease("a", "198.18.92.254/30");
    assert_true(lease_read("a", site, &found));
    assert_int_equal(found.range, 4);
    assert_int_equal(found.number, 63);
}

static void others_leases_are_marked(void **state)
{
    bool taken[PLAN_PLACES] = {false};
    unsigned int count = 0;

    (void)state;
    make_vm("a");
    make_vm("b");
    make_vm("c");
    write_lease("a", "100.115.92.26/30");
    write_lease("b", "10.115.92.42/30");
    lease_mark_others("a", taken);
    for (unsigned int i = 0; i < PLAN_PLACES; i++)
        count += taken[i];
    assert_true(taken[10]);
    assert_int_equal(count, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_lease_is_read_as_it_was_written, vm_home_make,
                                        vm_home_remove),
        cmocka_unit_test_setup_teardown(what_is_no_lease_is_none, vm_home_make, vm_home_remove),
        cmocka_unit_test_setup_teardown(others_leases_are_marked, vm_home_make, vm_home_remove),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

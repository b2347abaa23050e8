/* SPDX-License-Identifier: MIT */
/* Tests the choice of context ids. */
#include "tests/unit/cmocka-prelude.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/vm/runtime.h"
#include "modules/vmc/cid.h"
#include "tests/unit/vm-home.h"

static uint32_t reserve(const char *name)
{
    struct crosh_error err = {0};
    uint32_t cid = 0;

    close(vm_home_runtime(name));
    assert_int_equal(cid_reserve(name, &cid, &err), 0);
    return cid;
}

static int run(const char *name)
{
    return vm_home_hold(name, NULL);
}

static void running_vms_keep_theirs(void **state)
{
    int a;
    int b;

    (void)state;
    assert_int_equal(reserve("a"), 3);
    a = run("a");
    assert_int_equal(reserve("b"), 4);
    b = run("b");
    assert_int_equal(reserve("c"), 5);
    close(a);
    assert_int_equal(reserve("c"), 3);
    assert_int_equal(reserve("b"), 3); /* one's own does not count */
    close(b);
}

static void a_reservation_counts_while_its_vm_starts(void **state)
{
    int lock = crosh_priv_vm_operation_lock("a", 0, NULL);

    (void)state;
    assert_true(lock >= 0);
    assert_int_equal(reserve("a"), 3);
    assert_int_equal(reserve("b"), 4);
    close(lock); /* the start came to nothing */
    assert_int_equal(reserve("b"), 3);
}

static void nonsense_in_a_note_is_ignored(void **state)
{
    static const char *const notes[] = {"", "x", "-1", "2", "0", "99999999999999999999", NULL};
    size_t i;

    (void)state;
    for (i = 0; notes[i] != NULL; i++) {
        int lock;

        close(vm_home_runtime("a"));
        vm_home_write("run/crosh/a/cid", notes[i]);
        lock = run("a");
        assert_int_equal(reserve("b"), 3);
        close(lock);
    }
}

#define WITH_HOME(test) cmocka_unit_test_setup_teardown(test, vm_home_make, vm_home_remove)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_HOME(running_vms_keep_theirs),
        WITH_HOME(a_reservation_counts_while_its_vm_starts),
        WITH_HOME(nonsense_in_a_note_is_ignored),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

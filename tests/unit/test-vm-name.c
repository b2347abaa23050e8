/* SPDX-License-Identifier: MIT */
/* Tests what a VM may be called. */
#include "tests/unit/cmocka-prelude.h"

#include <string.h>

#include <crosh/vm.h>

static void good_names(void **state)
{
    static const char *const names[] = {"a", "0", "termina", "a-b-", "9lives", NULL};
    char longest[CROSH_VM_NAME_MAX + 1];
    size_t i;

    (void)state;
    for (i = 0; names[i] != NULL; i++)
        assert_int_equal(crosh_vm_check_name(names[i], NULL), 0);
    memset(longest, 'x', CROSH_VM_NAME_MAX);
    longest[CROSH_VM_NAME_MAX] = '\0';
    assert_int_equal(crosh_vm_check_name(longest, NULL), 0);
}

static void bad_names(void **state)
{
    static const char *const names[] = {"",   "../x", "a/b", "-a",        ".",   "..",  "A",
                                        "aB", "a b",  "a\n", "a\xc3\xa4", "a.b", "a_b", NULL};
    char too_long[301];
    size_t i;

    (void)state;
    for (i = 0; names[i] != NULL; i++)
        assert_int_equal(crosh_vm_check_name(names[i], NULL), CROSH_EUSAGE);
    assert_int_equal(crosh_vm_check_name(NULL, NULL), CROSH_EUSAGE);
    memset(too_long, 'x', 300);
    too_long[300] = '\0';
    assert_int_equal(crosh_vm_check_name(too_long, NULL), CROSH_EUSAGE);
    too_long[CROSH_VM_NAME_MAX + 1] = '\0';
    assert_int_equal(crosh_vm_check_name(too_long, NULL), CROSH_EUSAGE);
}

static void the_error_quotes_safely_and_shortly(void **state)
{
    struct crosh_error err = {0};
    char name[301];

    (void)state;
    assert_int_equal(crosh_vm_check_name("x\033[31m\"\n", &err), CROSH_EUSAGE);
    assert_string_equal(err.message, "\"x\\x1b[31m\\x22\\x0a\" cannot be the name of a VM");
    assert_non_null(strstr(err.hint, "63"));
    memset(name, '\1', 300);
    name[300] = '\0';
    assert_int_equal(crosh_vm_check_name(name, &err), CROSH_EUSAGE);
    assert_true(strlen(err.message) < 250);
    assert_non_null(strstr(err.message, "\\x01...\""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_names),
        cmocka_unit_test(bad_names),
        cmocka_unit_test(the_error_quotes_safely_and_shortly),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

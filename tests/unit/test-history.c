/* SPDX-License-Identifier: MIT */
/* Tests the history and its file. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crosh/history.h"
#include "tests/unit/cmocka-prelude.h"

static char dir[64], path[128];

static int make_dir(void **state)
{
    (void)state;
    (void)snprintf(dir, sizeof(dir), "/tmp/crosh-test-history.XXXXXX");
    if (mkdtemp(dir) == NULL)
        return -1;
    (void)snprintf(path, sizeof(path), "%s/a/history", dir);
    return 0;
}

static int remove_dir(void **state)
{
    char other[160];

    (void)state;
    (void)unlink(path);
    (void)snprintf(other, sizeof(other), "%s.lock", path);
    (void)unlink(other);
    (void)snprintf(other, sizeof(other), "%s/a", dir);
    (void)rmdir(other);
    return rmdir(dir); /* fails when a temporary file was left behind */
}

static void assert_file(const char *expected)
{
    char buf[256] = "";
    FILE *file = fopen(path, "r");
    size_t n;

    assert_non_null(file);
    n = fread(buf, 1, sizeof(buf) - 1, file);
    buf[n] = '\0';
    (void)fclose(file);
    assert_string_equal(buf, expected);
}

static void test_add(void **state)
{
    struct history *history = history_new(path, NULL);
    struct stat st;

    (void)state;
    assert_int_equal(history_count(history), 0);
    assert_int_equal(history_add(history, "one", NULL), 1);
    assert_int_equal(history_add(history, "two", NULL), 1);
    assert_int_equal(history_add(history, " hidden", NULL), 0);
    assert_int_equal(history_add(history, "", NULL), 0);
    assert_int_equal(history_add(history, "one", NULL), 1);
    assert_int_equal(history_count(history), 2);
    assert_string_equal(history_line(history, 0), "two");
    assert_string_equal(history_line(history, 1), "one");
    assert_file("two\none\n");
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    history_free(history);
}

static void test_lines(void **state)
{
    struct history *history = history_new(path, NULL);

    (void)state;
    assert_int_equal(history_add(history, "echo 'a\nb' c\\n", NULL), 1);
    assert_file("echo 'a\\nb' c\\\\n\n");
    history_free(history);
    history = history_new(path, NULL);
    assert_int_equal(history_count(history), 1);
    assert_string_equal(history_line(history, 0), "echo 'a\nb' c\\n");
    history_free(history);
}

static void test_shared(void **state)
{
    struct history *a = history_new(path, NULL);
    struct history *b = history_new(path, NULL);

    (void)state;
    assert_int_equal(history_add(a, "from a", NULL), 1);
    assert_int_equal(history_add(b, "from b", NULL), 1);
    assert_file("from a\nfrom b\n");
    assert_int_equal(history_count(b), 2);
    assert_int_equal(history_clear(b, NULL), 0);
    assert_file("");
    assert_int_equal(history_count(b), 0);
    history_free(a);
    history_free(b);
}

static void test_limit(void **state)
{
    struct history *history = history_new(NULL, NULL);
    char line[32];

    (void)state;
    for (int i = 0; i < HISTORY_MAX + 3; i++) {
        (void)snprintf(line, sizeof(line), "line %d", i);
        assert_int_equal(history_add(history, line, NULL), 1);
    }
    assert_int_equal(history_count(history), HISTORY_MAX);
    assert_string_equal(history_line(history, 0), "line 3");
    history_free(history);
}

static void test_unwritable(void **state)
{
    struct crosh_error err = {0};
    struct history *history = history_new("/dev/null/history", &err);

    (void)state;
    assert_int_equal(err.code, -ENOTDIR);
    assert_int_equal(history_add(history, "kept", &err), -ENOTDIR);
    assert_int_equal(history_count(history), 1); /* in memory all the same */
    history_free(history);
}

static void test_default_path(void **state)
{
    char *found;

    (void)state;
    assert_int_equal(setenv("HOME", "/home/u", 1), 0);
    assert_int_equal(setenv("XDG_STATE_HOME", "/s", 1), 0);
    found = history_default_path();
    assert_string_equal(found, "/s/crosh/history");
    free(found);
    assert_int_equal(setenv("XDG_STATE_HOME", "relative", 1), 0);
    found = history_default_path();
    assert_string_equal(found, "/home/u/.local/state/crosh/history");
    free(found);
    assert_int_equal(unsetenv("HOME"), 0);
    assert_null(history_default_path());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_add, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(test_lines, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(test_shared, make_dir, remove_dir),
        cmocka_unit_test(test_limit),
        cmocka_unit_test(test_unwritable),
        cmocka_unit_test(test_default_path),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/* Tests the table of settings, their values, and the configuration file. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "crosh/config.h"
#include "tests/unit/cmocka-prelude.h"

static void test_table(void **state)
{
    struct settings settings = {0};

    (void)state;
    for (const struct setting *setting = settings_table(); setting->name != NULL; setting++) {
        if (setting != settings_table())
            assert_true(strcmp(setting[-1].name, setting->name) < 0);
        assert_true(setting->summary[0] != '\0');
        /* The default is a value that could be set. */
        assert_string_equal(settings_get(&settings, setting->name), setting->default_value);
        assert_int_equal(settings_set(&settings, setting->name, setting->default_value, true, NULL),
                         0);
        assert_ptr_equal(settings_find(setting->name), setting);
    }
    assert_null(settings_find("nope"));
    settings_clear(&settings);
}

static void test_values(void **state)
{
    struct settings settings = {0};
    struct crosh_error err = {0};

    (void)state;
    assert_true(settings_flag(&settings, "errexit"));
    assert_false(settings_is_changed(&settings, "errexit"));
    assert_int_equal(settings_set(&settings, "errexit", "off", false, &err), 0);
    assert_false(settings_flag(&settings, "errexit"));
    assert_true(settings_is_changed(&settings, "errexit"));
    assert_int_equal(settings_set(&settings, "errexit", "0", false, &err), CROSH_EUSAGE);
    assert_string_equal(err.message, "errexit: \"0\" is none of: on, off");
    assert_false(settings_flag(&settings, "errexit"));
    assert_int_equal(settings_set(&settings, "errexit", NULL, false, &err), 0);
    assert_true(settings_flag(&settings, "errexit"));
    assert_int_equal(settings_number(&settings, "history.size"), 4096);
    assert_int_equal(settings_set(&settings, "history.size", "12", false, &err), 0);
    assert_int_equal(settings_number(&settings, "history.size"), 12);
    assert_int_equal(settings_set(&settings, "shell", "on", false, &err), -EPERM);
    assert_false(settings_flag(&settings, "shell"));
    assert_int_equal(settings_set(&settings, "shell", "on", true, &err), 0);
    assert_true(settings_flag(&settings, "shell"));
    assert_int_equal(settings_set(&settings, "promt", "x", false, &err), CROSH_EUSAGE);
    assert_string_equal(err.message, "there is no setting \"promt\" (did you mean \"prompt\"?)");
    settings_clear(&settings);
    assert_int_equal(settings_number(&settings, "history.size"), 4096);
}

static char complaints[4096];

static void complain(const char *message, const char *hint)
{
    size_t used = strlen(complaints);

    (void)hint;
    (void)snprintf(complaints + used, sizeof(complaints) - used, "%s\n", strrchr(message, '/') + 1);
}

static void load(struct settings *settings, const void *text, size_t size)
{
    char path[] = "/tmp/crosh-test.XXXXXX";
    int fd = mkstemp(path);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, size), size);
    assert_int_equal(close(fd), 0);
    complaints[0] = '\0';
    config_load(settings, path, complain);
    assert_int_equal(unlink(path), 0);
    memmove(complaints, complaints + strcspn(complaints, ":"),
            strlen(complaints + strcspn(complaints, ":")) + 1);
}

static void test_config(void **state)
{
    static const char hostile[] = "set pager off\nset\0pager auto\nset prompt x";
    struct settings settings = {0};

    (void)state;
    load(&settings, "", 0);
    assert_string_equal(complaints, "");
    load(&settings, hostile, sizeof(hostile) - 1);
    assert_string_equal(complaints, ":2: this is no text\n");
    assert_string_equal(settings_get(&settings, "pager"), "off");
    assert_string_equal(settings_get(&settings, "prompt"), "x");
    config_load(&settings, "/nonexistent/config", complain);
    config_load(&settings, NULL, complain);
    assert_string_equal(complaints, ":2: this is no text\n");
    settings_clear(&settings);
}

static void test_path(void **state)
{
    char *path;

    (void)state;
    assert_int_equal(setenv("XDG_CONFIG_HOME", "/x", 1), 0);
    assert_int_equal(setenv("HOME", "/h", 1), 0);
    path = config_path("croshrc");
    assert_string_equal(path, "/x/crosh/croshrc");
    free(path);
    /* The specification wants a relative path to be ignored. */
    assert_int_equal(setenv("XDG_CONFIG_HOME", "x", 1), 0);
    path = config_path("croshrc");
    assert_string_equal(path, "/h/.config/crosh/croshrc");
    free(path);
    assert_int_equal(unsetenv("HOME"), 0);
    assert_null(config_path("croshrc"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_config),
        cmocka_unit_test(test_path),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

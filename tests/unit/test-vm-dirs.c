/* SPDX-License-Identifier: MIT */
/* Tests where files go, and which runtime directories are refused. */
#include "tests/unit/cmocka-prelude.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <crosh/vm.h>

#include "lib/base/cleanup.h"
#include "lib/vm/dirs.h"
#include "tests/unit/vm-home.h"

static void data_follows_the_specification(void **state)
{
    cleanup_free char *set = NULL;
    cleanup_free char *relative = NULL;
    cleanup_free char *unset = NULL;

    (void)state;
    setenv("HOME", "/home/someone", 1);
    setenv("XDG_DATA_HOME", "/some/where", 1);
    set = crosh_data_dir();
    assert_string_equal(set, "/some/where/crosh");
    setenv("XDG_DATA_HOME", "relative", 1);
    relative = crosh_data_dir();
    assert_string_equal(relative, "/home/someone/.local/share/crosh");
    unsetenv("XDG_DATA_HOME");
    unset = crosh_vm_dir("a");
    assert_string_equal(unset, "/home/someone/.local/share/crosh/vms/a");
}

static void runtime_is_made_private(void **state)
{
    cleanup_free char *dir = NULL;
    struct stat st;
    mode_t before = umask(0);

    (void)state;
    dir = crosh_runtime_dir(NULL);
    umask(before);
    assert_non_null(dir);
    assert_int_equal(stat(dir, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
}

/* The fallback is in a directory where anybody may put anything. */
static void runtime_falls_back_to_tmp(void **state)
{
    cleanup_free char *dir = NULL;
    char expected[64];

    (void)state;
    unsetenv("XDG_RUNTIME_DIR");
    dir = crosh_runtime_dir(NULL);
    snprintf(expected, sizeof(expected), "/tmp/crosh-%u", (unsigned int)geteuid());
    assert_string_equal(dir, expected);
    (void)rmdir(dir); /* kept when somebody uses it */
}

static void in_home(const char *name, char *path, size_t size)
{
    snprintf(path, size, "%s/run/%s", vm_home, name);
}

static void a_link_is_refused(void **state)
{
    struct crosh_error err = {0};
    char path[128];

    (void)state;
    in_home("crosh", path, sizeof(path));
    assert_int_equal(symlink("/tmp", path), 0);
    assert_null(crosh_runtime_dir(&err));
    assert_non_null(strstr(err.message, path));
    assert_true(err.code == -ELOOP || err.code == -ENOTDIR);
}

static void a_file_is_refused(void **state)
{
    struct crosh_error err = {0};

    (void)state;
    vm_home_write("run/crosh", "");
    assert_null(crosh_runtime_dir(&err));
    assert_int_equal(err.code, -ENOTDIR);
}

static void an_open_directory_is_refused(void **state)
{
    struct crosh_error err = {0};
    char path[128];

    (void)state;
    in_home("crosh", path, sizeof(path));
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(chmod(path, 0750), 0);
    assert_null(crosh_runtime_dir(&err));
    assert_int_equal(err.code, -EPERM);
    assert_non_null(strstr(err.message, "750"));
}

static void a_strangers_directory_is_refused(void **state)
{
    struct crosh_error err = {0};
    char path[128];

    (void)state;
    if (geteuid() != 0)
        skip();
    in_home("crosh", path, sizeof(path));
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(chown(path, 4711, 4711), 0);
    assert_null(crosh_runtime_dir(&err));
    assert_int_equal(err.code, -EPERM);
    assert_non_null(strstr(err.message, "4711"));
}

/* The specification has it the user's own, and of mode 0700. */
static void a_runtime_dir_that_others_use_is_refused(void **state)
{
    struct crosh_error err = {0};
    char run[128];
    char ours[128];

    (void)state;
    snprintf(run, sizeof(run), "%s/run", vm_home);
    in_home("crosh", ours, sizeof(ours));
    assert_int_equal(chmod(run, 0777), 0);
    assert_null(crosh_runtime_dir(&err));
    assert_int_equal(err.code, -EPERM);
    assert_non_null(strstr(err.message, "XDG_RUNTIME_DIR"));
    assert_non_null(strstr(err.message, "777"));
    assert_non_null(strstr(err.hint, "unset XDG_RUNTIME_DIR"));
    assert_int_equal(access(ours, F_OK), -1);
    assert_int_equal(chmod(run, 0700), 0);
    if (geteuid() != 0)
        return;
    assert_int_equal(chown(run, 4711, 4711), 0);
    assert_null(crosh_runtime_dir(&err));
    assert_int_equal(err.code, -EPERM);
    assert_non_null(strstr(err.message, "4711"));
    assert_int_equal(access(ours, F_OK), -1);
}

static void an_absent_runtime_dir_is_named(void **state)
{
    struct crosh_error err = {0};

    (void)state;
    setenv("XDG_RUNTIME_DIR", "/no/such/dir", 1);
    assert_null(crosh_runtime_dir(&err));
    assert_int_equal(err.code, -ENOENT);
    assert_non_null(strstr(err.message, "/no/such/dir"));
    assert_non_null(strstr(err.hint, "unset it"));
}

static void removing_does_not_follow_links(void **state)
{
    char outside[128];
    char link[128];
    char tree[128];

    (void)state;
    vm_home_write("outside/file", "kept");
    vm_home_write("tree/sub/file", "gone");
    snprintf(outside, sizeof(outside), "%s/outside", vm_home);
    snprintf(link, sizeof(link), "%s/tree/link", vm_home);
    snprintf(tree, sizeof(tree), "%s/tree", vm_home);
    assert_int_equal(symlink(outside, link), 0);
    assert_int_equal(crosh_priv_remove_tree(tree, NULL), 0);
    assert_int_equal(access(tree, F_OK), -1);
    strcat(outside, "/file");
    assert_int_equal(access(outside, F_OK), 0);
    assert_int_equal(crosh_priv_remove_tree(tree, NULL), 0);
}

/* On an overlay of several file systems files and directories are of different devices. */
static void removing_works_on_an_overlay(void **state)
{
    char options[512], over[128], lower[128], tree[160];

    (void)state;
    vm_home_write("lower/x", "");
    vm_home_write("upper/x", "");
    vm_home_write("work/x", "");
    vm_home_write("over/x", "");
    snprintf(over, sizeof(over), "%s/over", vm_home);
    snprintf(lower, sizeof(lower), "%s/lower", vm_home);
    snprintf(options, sizeof(options),
             "lowerdir=%s/lower,upperdir=%s/upper,workdir=%s/work,xino=off", vm_home, vm_home,
             vm_home);
    if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount("tmpfs", lower, "tmpfs", 0, NULL) < 0 ||
        mount("overlay", over, "overlay", 0, options) < 0) {
        print_message("skipped: no overlay can be mounted here: %s\n", strerror(errno));
        skip();
    }
    vm_home_write("over/tree/sub/file", "gone");
    snprintf(tree, sizeof(tree), "%s/tree", over);
    assert_int_equal(crosh_priv_remove_tree(tree, NULL), 0);
    assert_int_equal(access(tree, F_OK), -1);
    assert_int_equal(umount(over), 0);
    assert_int_equal(umount(lower), 0);
}

#define WITH_HOME(test) cmocka_unit_test_setup_teardown(test, vm_home_make, vm_home_remove)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_HOME(data_follows_the_specification),
        WITH_HOME(runtime_is_made_private),
        WITH_HOME(runtime_falls_back_to_tmp),
        WITH_HOME(a_link_is_refused),
        WITH_HOME(a_file_is_refused),
        WITH_HOME(an_open_directory_is_refused),
        WITH_HOME(a_strangers_directory_is_refused),
        WITH_HOME(a_runtime_dir_that_others_use_is_refused),
        WITH_HOME(an_absent_runtime_dir_is_named),
        WITH_HOME(removing_does_not_follow_links),
        WITH_HOME(removing_works_on_an_overlay),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

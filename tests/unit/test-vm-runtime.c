/* SPDX-License-Identifier: MIT */
/* Tests locks, liveness and the cleaning up after dead launchers. */
#include "tests/unit/cmocka-prelude.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <crosh/vm.h>

#include "lib/base/cleanup.h"
#include "lib/vm/dirs.h"
#include "lib/vm/runtime.h"
#include "tests/unit/vm-home.h"

/* Holds the VM as a launcher does. */
static int hold(const char *name)
{
    return vm_home_hold(name, NULL);
}

static bool is_there(int dir_fd, const char *name)
{
    return faccessat(dir_fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static void nothing_is_dead(void **state)
{
    (void)state;
    assert_int_equal(crosh_priv_vm_probe("a"), CROSH_VM_DEAD);
    assert_int_equal(crosh_vm_state("a"), CROSH_VM_STOPPED);
}

static void a_held_lock_is_alive(void **state)
{
    cleanup_close int dir_fd = vm_home_runtime("a");
    int lock = hold("a");

    (void)state;
    close(vm_home_listen(dir_fd, "vsock.sock"));
    assert_int_equal(crosh_priv_vm_probe("a"), CROSH_VM_ALIVE);
    assert_true(is_there(dir_fd, "vsock.sock"));
    assert_int_equal(crosh_priv_vm_probe_locked("a"), CROSH_VM_ALIVE);
    assert_int_equal(crosh_vm_state("a"), CROSH_VM_STARTING);
    close(lock);
    assert_int_equal(crosh_priv_vm_probe("a"), CROSH_VM_DEAD);
}

static void leftovers_go_and_the_end_is_noted(void **state)
{
    cleanup_close int dir_fd = vm_home_runtime("a");
    struct crosh_vm_ended ended;

    (void)state;
    close(hold("a"));
    close(vm_home_listen(dir_fd, "control.sock"));
    close(vm_home_listen(dir_fd, "vsock.sock_7777"));
    vm_home_write("run/crosh/a/pid", "4711\n");
    vm_home_write("run/crosh/a/console.log", "hello\n");
    assert_int_equal(crosh_priv_vm_probe("a"), CROSH_VM_DEAD);
    assert_false(is_there(dir_fd, "control.sock"));
    assert_false(is_there(dir_fd, "vsock.sock_7777"));
    assert_false(is_there(dir_fd, "pid"));
    assert_true(is_there(dir_fd, "console.log"));
    assert_int_equal(crosh_priv_vm_ended_read("a", &ended), 1);
    assert_string_equal(ended.reason, "killed");
    assert_int_equal(ended.status, -1);
}

static void a_clean_end_stays_as_it_was_told(void **state)
{
    struct crosh_vm_ended ended;

    (void)state;
    close(vm_home_runtime("a"));
    vm_home_write("run/crosh/a/ended",
                  "{\"reason\":\"crash\",\"detail\":\"triple fault\",\"status\":11,\"time\":5}\n");
    assert_int_equal(crosh_priv_vm_probe("a"), CROSH_VM_DEAD);
    assert_int_equal(crosh_priv_vm_ended_read("a", &ended), 1);
    assert_string_equal(ended.reason, "crash");
    assert_string_equal(ended.detail, "triple fault");
    assert_int_equal(ended.status, 11);
    assert_int_equal(ended.time, 5);
}

static void a_damaged_end_is_unknown(void **state)
{
    static const char *const texts[] = {"",  "{", "[]", "{\"reason\":5}", "{\"detail\":\"x\"}",
                                        NULL};
    struct crosh_vm_ended ended;
    size_t i;

    (void)state;
    close(vm_home_runtime("a"));
    for (i = 0; texts[i] != NULL; i++) {
        vm_home_write("run/crosh/a/ended", texts[i]);
        assert_int_equal(crosh_priv_vm_ended_read("a", &ended), 0);
    }
}

static void the_operation_lock_excludes(void **state)
{
    struct crosh_error err = {0};
    int lock = crosh_priv_vm_operation_lock("a", 0, &err);

    (void)state;
    assert_true(lock >= 0);
    assert_int_equal(crosh_priv_vm_operation_lock("a", 50, &err), -EBUSY);
    assert_int_equal(crosh_priv_vm_probe("a"), CROSH_VM_CHANGING);
    close(lock);
    lock = crosh_priv_vm_operation_lock("a", 0, &err);
    assert_true(lock >= 0);
    close(lock);
}

/* Who waited for a VM that is destroyed meanwhile must not wait for its name for ever. */
static void a_lock_of_a_destroyed_vm_hinders_nobody(void **state)
{
    cleanup_close int old = crosh_priv_vm_operation_lock("a", 0, NULL);
    cleanup_close int dir_fd = vm_home_data("a");
    cleanup_close int new = -1;

    (void)state;
    assert_true(old >= 0);
    assert_int_equal(unlinkat(dir_fd, "op.lock", 0), 0);
    new = crosh_priv_vm_operation_lock("a", 0, NULL);
    assert_true(new >= 0);
    assert_true(is_there(dir_fd, "op.lock"));
}

static void the_kernel_names_the_holder(void **state)
{
    pid_t holder;
    int lock;

    (void)state;
    assert_int_equal(crosh_priv_vm_holder("a"), -1);
    lock = hold("a");
    holder = crosh_priv_vm_holder("a");
    /* Some file systems and sandboxes do not tell: then nobody is named, never somebody else. */
    assert_true(holder == getpid() || holder == -1);
    close(lock);
    assert_int_equal(crosh_priv_vm_holder("a"), -1);
}

/* A session with another runtime directory sees the same VM. */
static void a_vm_is_found_where_it_runs(void **state)
{
    struct crosh_vm_ended ended;
    cleanup_free char *recorded = NULL;
    char there[128];
    char here[128];
    int lock;
    int fd;

    (void)state;
    snprintf(here, sizeof(here), "%s/run", vm_home);
    snprintf(there, sizeof(there), "%s/elsewhere", vm_home);
    assert_null(crosh_priv_vm_runtime_recorded("a"));
    assert_int_equal(mkdir(there, 0700), 0);
    setenv("XDG_RUNTIME_DIR", there, 1);
    fd = vm_home_runtime("a");
    close(vm_home_listen(fd, "vsock.sock"));
    strcat(there, "/crosh/a");
    lock = vm_home_hold("a", there);

    setenv("XDG_RUNTIME_DIR", here, 1);
    recorded = crosh_priv_vm_runtime_recorded("a");
    assert_string_equal(recorded, there);
    assert_int_equal(crosh_priv_vm_probe("a"), CROSH_VM_ALIVE);
    close(vm_home_runtime("a"));
    {
        cleanup_close int found = crosh_priv_vm_runtime_find("a", NULL);

        assert_true(is_there(found, "vsock.sock"));
    }
    /* What it leaves when it is killed is cleaned there, and told here. */
    close(lock);
    assert_int_equal(crosh_priv_vm_probe("a"), CROSH_VM_DEAD);
    assert_false(is_there(fd, "vsock.sock"));
    assert_int_equal(crosh_priv_vm_ended_read("a", &ended), 1);
    assert_string_equal(ended.reason, "killed");
    /* Once the directory is gone, or no longer private, this session's counts. */
    assert_int_equal(fchmod(fd, 0755), 0);
    assert_int_equal(crosh_priv_vm_ended_read("a", &ended), 0);
    assert_int_equal(fchmod(fd, 0700), 0);
    assert_int_equal(crosh_priv_vm_ended_read("a", &ended), 1);
    assert_int_equal(crosh_priv_remove_tree(there, NULL), 0);
    assert_int_equal(crosh_priv_vm_ended_read("a", &ended), 0);
    close(fd);
}

/* Two data directories, one runtime directory, one name. */
static void anothers_runtime_directory_is_not_cleaned(void **state)
{
    cleanup_close int dir_fd = vm_home_runtime("a");
    cleanup_close int lock = openat(dir_fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);

    (void)state;
    assert_int_equal(flock(lock, LOCK_EX | LOCK_NB), 0);
    close(vm_home_listen(dir_fd, "vsock.sock"));
    close(vm_home_data("a"));
    assert_int_equal(crosh_priv_vm_probe("a"), CROSH_VM_DEAD);
    assert_true(is_there(dir_fd, "vsock.sock"));
    assert_int_equal(flock(lock, LOCK_UN), 0);
    assert_int_equal(crosh_priv_vm_probe("a"), CROSH_VM_DEAD);
    assert_false(is_there(dir_fd, "vsock.sock"));
}

static void half_a_record_is_none(void **state)
{
    static const char *const texts[] = {"", "/tmp/x", "relative\n", "\n", NULL};

    (void)state;
    for (size_t i = 0; texts[i] != NULL; i++) {
        vm_home_write("data/crosh/vms/a/lock", texts[i]);
        assert_null(crosh_priv_vm_runtime_recorded("a"));
    }
}

#define WITH_HOME(test) cmocka_unit_test_setup_teardown(test, vm_home_make, vm_home_remove)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_HOME(nothing_is_dead),
        WITH_HOME(a_held_lock_is_alive),
        WITH_HOME(leftovers_go_and_the_end_is_noted),
        WITH_HOME(a_clean_end_stays_as_it_was_told),
        WITH_HOME(a_damaged_end_is_unknown),
        WITH_HOME(the_operation_lock_excludes),
        WITH_HOME(a_lock_of_a_destroyed_vm_hinders_nobody),
        WITH_HOME(the_kernel_names_the_holder),
        WITH_HOME(a_vm_is_found_where_it_runs),
        WITH_HOME(anothers_runtime_directory_is_not_cleaned),
        WITH_HOME(half_a_record_is_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

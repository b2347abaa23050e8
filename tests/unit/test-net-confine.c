/* SPDX-License-Identifier: MIT */
/* Which files the keeper's processes still open, and what is left of its helper. */
#include "tests/unit/cmocka-prelude.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/landlock.h>

#include "lib/base/cleanup.h"
#include "net/confine.h"
#include "net/outside.h"
#include "net/plan.h"
#include "tests/unit/vm-home.h"

/* 0, or the errno of opening it: what a process of that kind gets. */
static int try_open(enum confine_kind kind, const char *path, int flags)
{
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        struct crosh_error err = {0};

        (void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        if (confine_files(kind, &err) < 0)
            _exit(255);
        _exit(open(path, flags | O_CLOEXEC, 0600) >= 0 ? 0 : errno);
    }
    assert_true(pid > 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static bool has_landlock(void)
{
    return syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION) > 0;
}

static char before[256], lease[300], secret[300], other[300];

static int set_up(void **state)
{
    int code = vm_home_make(state);
    char net[300];

    close(vm_home_data("one"));
    close(vm_home_runtime("one"));
    (void)snprintf(lease, sizeof(lease), "%s/data/crosh/vms/one/lease", vm_home);
    (void)snprintf(secret, sizeof(secret), "%s/secret", vm_home);
    (void)snprintf(other, sizeof(other), "%s/run/crosh/one/file", vm_home);
    (void)snprintf(net, sizeof(net), "%s/run/crosh/.net", vm_home);
    vm_home_write("data/crosh/vms/one/lease", "x");
    vm_home_write("secret", "x");
    vm_home_write("run/crosh/one/file", "x");
    assert_non_null(getcwd(before, sizeof(before)));
    return code == 0 && mkdir(net, 0700) == 0 ? chdir(net) : -1;
}

static int tear_down(void **state)
{
    assert_int_equal(chdir(before), 0);
    return vm_home_remove(state);
}

static void the_keeper_has_the_vms_and_the_hosts_settings(void **state)
{
    (void)state;
    if (!has_landlock())
        skip();
    assert_int_equal(try_open(CONFINE_KEEPER, "vms", O_WRONLY | O_CREAT), 0);
    assert_int_equal(try_open(CONFINE_KEEPER, lease, O_WRONLY), 0);
    assert_int_equal(try_open(CONFINE_KEEPER, other, O_RDWR), 0);
    assert_int_equal(try_open(CONFINE_KEEPER, "/etc/passwd", O_RDONLY), 0);
    assert_int_equal(try_open(CONFINE_KEEPER, "/proc/sys/net/ipv4/ip_forward", O_RDONLY), 0);
    assert_int_equal(try_open(CONFINE_KEEPER, secret, O_RDONLY), EACCES);
    assert_int_equal(try_open(CONFINE_KEEPER, "/etc/passwd", O_WRONLY), EACCES);
    assert_int_equal(try_open(CONFINE_KEEPER, "/proc/sys/kernel/core_pattern", O_WRONLY), EACCES);
}

static void who_asks_a_guest_has_the_runtime_directory(void **state)
{
    (void)state;
    if (!has_landlock())
        skip();
    assert_int_equal(try_open(CONFINE_LOOKUP, other, O_RDWR), 0);
    assert_int_equal(try_open(CONFINE_LOOKUP, lease, O_RDONLY), 0);
    assert_int_equal(try_open(CONFINE_LOOKUP, lease, O_WRONLY), EACCES);
    assert_int_equal(try_open(CONFINE_LOOKUP, secret, O_RDONLY), EACCES);
    assert_int_equal(try_open(CONFINE_LOOKUP, "/etc/passwd", O_RDONLY), EACCES);
}

static void who_makes_sockets_has_no_files(void **state)
{
    (void)state;
    if (!has_landlock())
        skip();
    assert_int_equal(try_open(CONFINE_HELPER, ".", O_RDONLY), EACCES);
    assert_int_equal(try_open(CONFINE_HELPER, other, O_RDONLY), EACCES);
    assert_int_equal(try_open(CONFINE_HELPER, "/etc/passwd", O_RDONLY), EACCES);
}

/* A line of a child's /proc/PID/status. */
static int status_of(pid_t pid, const char *key)
{
    char path[64], line[256];
    cleanup_fclose FILE *f = NULL;
    int value = -1;

    (void)snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
    f = fopen(path, "re");
    while (f != NULL && fgets(line, sizeof(line), f) != NULL)
        if (strncmp(line, key, strlen(key)) == 0)
            value = atoi(line + strlen(key));
    return value;
}

static void a_sealed_helper_makes_sockets_alone(void **state)
{
    static const char *const program[] = {"true", NULL};
    struct outside_socket spec = {.family = AF_INET, .type = SOCK_STREAM, .is_listening = true};
    const struct plan_prefix loopback = {.family = AF_INET, .ipv4.s_addr = htonl(INADDR_LOOPBACK)};
    struct crosh_error err = {0};
    struct outside *outside;
    char text[32] = "";
    cleanup_fclose FILE *children = NULL;
    pid_t helper;
    int fd;

    (void)state;
    (void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    outside = outside_new(true, &err);
    assert_non_null(outside);
    children = fopen("/proc/thread-self/children", "re");
    assert_non_null(children);
    assert_non_null(fgets(text, sizeof(text), children));
    helper = (pid_t)atoi(text);
    assert_true(outside_spawn(outside, program, &err) > 0);
    assert_int_equal(status_of(helper, "Seccomp:"), 0);
    assert_int_equal(outside_seal(outside, &err), 0);
    assert_int_equal(status_of(helper, "Seccomp:"), 2);
    assert_int_equal(outside_spawn(outside, program, &err), -EPERM);
    spec.bind_size = plan_to_sockaddr(&loopback, 0, &spec.bind);
    fd = outside_socket(outside, &spec, &err);
    assert_true(fd >= 0);
    assert_int_equal(close(fd), 0);
    outside_free(outside);
    assert_int_equal(waitpid(helper, NULL, 0), helper);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_keeper_has_the_vms_and_the_hosts_settings),
        cmocka_unit_test(who_asks_a_guest_has_the_runtime_directory),
        cmocka_unit_test(who_makes_sockets_has_no_files),
        cmocka_unit_test(a_sealed_helper_makes_sockets_alone),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}

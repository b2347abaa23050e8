/* SPDX-License-Identifier: MIT */
/* Tests streams into the guest against a launcher of the test's own, well and badly behaved. */
#include "tests/unit/cmocka-prelude.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <crosh/vm.h>

#include "lib/base/cleanup.h"
#include "tests/unit/vm-home.h"

#define VM "a"

/* One connection's worth of a launcher: what it answers to the request it gets. */
struct launcher {
    pthread_t thread;
    int listen_fd;
    const char *answer; /* NULL: close without a word */
    unsigned int chunk; /* bytes per write; 0: all at once */
    char request[64];
};

static void answer(const struct launcher *launcher, int fd)
{
    size_t size = launcher->answer != NULL ? strlen(launcher->answer) : 0;
    size_t chunk = launcher->chunk != 0 ? launcher->chunk : size;
    size_t i;

    for (i = 0; i < size; i += chunk) {
        (void)!write(fd, launcher->answer + i, chunk < size - i ? chunk : size - i);
        if (launcher->chunk != 0)
            usleep(1000);
    }
}

static void *serve(void *arg)
{
    struct launcher *launcher = arg;
    int fd = accept(launcher->listen_fd, NULL, NULL);
    size_t used = 0;
    char end;

    while (used + 1 < sizeof(launcher->request) && read(fd, launcher->request + used, 1) == 1 &&
           launcher->request[used++] != '\n')
        ;
    answer(launcher, fd);
    /* Silence is not the end of the stream: that is for the client to cut. */
    if (launcher->answer != NULL)
        (void)!read(fd, &end, 1);
    close(fd);
    return NULL;
}

static int set_up(void **state)
{
    if (vm_home_make(state) < 0)
        return -1;
    vm_home_write("data/crosh/vms/" VM "/config.json", "{}");
    return 0;
}

static void begin(struct launcher *launcher, const char *text)
{
    cleanup_close int dir_fd = vm_home_runtime(VM);

    launcher->listen_fd = vm_home_listen(dir_fd, "vsock.sock");
    launcher->answer = text;
    assert_int_equal(pthread_create(&launcher->thread, NULL, serve, launcher), 0);
}

static void end(struct launcher *launcher)
{
    pthread_join(launcher->thread, NULL);
    close(launcher->listen_fd);
}

static void a_stream_begins_behind_the_answer(void **state)
{
    struct launcher launcher = {.chunk = 1};
    char data[16] = "";
    int fd;

    (void)state;
    begin(&launcher, "OK 1073741824\nhello");
    fd = crosh_vm_connect(VM, 9001, 5000, NULL);
    assert_true(fd >= 0);
    assert_int_equal(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
    assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    assert_int_equal(recv(fd, data, 5, MSG_WAITALL), 5);
    assert_string_equal(data, "hello");
    close(fd);
    end(&launcher);
    assert_string_equal(launcher.request, "CONNECT 9001\n");
}

static void closing_is_a_refusal(void **state)
{
    struct launcher launcher = {0};
    struct crosh_error err = {0};

    (void)state;
    begin(&launcher, NULL);
    assert_int_equal(crosh_vm_connect(VM, 9, 5000, &err), -ECONNREFUSED);
    assert_non_null(strstr(err.message, "port 9"));
    end(&launcher);
}

static void silence_times_out(void **state)
{
    struct launcher launcher = {0};
    struct crosh_error err = {0};

    (void)state;
    begin(&launcher, "");
    assert_int_equal(crosh_vm_connect(VM, 9001, 100, &err), -ETIMEDOUT);
    end(&launcher);
}

static void half_an_answer_times_out(void **state)
{
    struct launcher launcher = {0};

    (void)state;
    begin(&launcher, "OK 12");
    assert_int_equal(crosh_vm_connect(VM, 9001, 100, NULL), -ETIMEDOUT);
    end(&launcher);
}

static void nonsense_is_refused(void **state)
{
    static const char *const answers[] = {
        "NO\n", "\n", "OK\n", "OK 1111111111111111111111111111111111111111111111111111\n", NULL};
    size_t i;

    (void)state;
    for (i = 0; answers[i] != NULL; i++) {
        struct launcher launcher = {0};
        cleanup_close int dir_fd = -1;

        begin(&launcher, answers[i]);
        assert_int_equal(crosh_vm_connect(VM, 9001, 5000, NULL), -EBADMSG);
        end(&launcher);
        dir_fd = vm_home_runtime(VM);
        assert_int_equal(unlinkat(dir_fd, "vsock.sock", 0), 0);
    }
}

static void who_is_not_there(void **state)
{
    struct crosh_error err = {0};
    cleanup_close int dir_fd = -1;

    (void)state;
    assert_int_equal(crosh_vm_connect("../x", 1, 100, &err), CROSH_EUSAGE);
    assert_int_equal(crosh_vm_connect("other", 1, 100, &err), -ENOENT);
    assert_int_equal(crosh_vm_connect(VM, 1, 100, &err), -ENOTCONN);
    assert_string_equal(err.message, "VM a is not running");
    dir_fd = vm_home_runtime(VM);
    assert_int_equal(crosh_vm_connect(VM, 1, 100, &err), -ENOTCONN);
    close(vm_home_listen(dir_fd, "vsock.sock"));
    assert_int_equal(crosh_vm_connect(VM, 1, 100, &err), -ENOTCONN);
    assert_int_equal(crosh_error_exit_status(-ENOTCONN), CROSH_EXIT_CONFLICT);
}

#define WITH_HOME(test) cmocka_unit_test_setup_teardown(test, set_up, vm_home_remove)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_HOME(a_stream_begins_behind_the_answer),
        WITH_HOME(closing_is_a_refusal),
        WITH_HOME(silence_times_out),
        WITH_HOME(half_an_answer_times_out),
        WITH_HOME(nonsense_is_refused),
        WITH_HOME(who_is_not_there),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

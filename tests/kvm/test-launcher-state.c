/* SPDX-License-Identifier: MIT */
/* Pauses, saves and restores through a whole launcher, with a bare-metal guest on KVM. */
#include "tests/unit/cmocka-prelude.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kvm/backend/choose.h"
#include "kvm/launcher.h"
#include "lib/vm/control-client.h"
#include "lib/vm/snapshot.h"
#include "tests/kvm/guest-run.h"

enum { CONSOLE_LOG_MAX = 4 << 20 };
enum { TIMEOUT_MS = 60000, STILL_US = 60000, STEP_US = 10000, STEPS = 3000 };

/* Counts, and sends each number as four bytes after an 'A'. */
GUEST_PROGRAM(counter, "xor %ebx, %ebx\n"
                       "1: mov $200, %ecx\n"
                       "2: dec %ecx\n"
                       "jnz 2b\n"
                       "inc %ebx\n" GUEST_SEND("A") "mov %ebx, %eax\n" GUEST_SEND_EAX "jmp 1b\n");

struct place {
    char dir[32], kernel[64], saved[64], log[64], old_log[64], ended[64];
    pid_t pid;
    struct crosh_control *control;
};

/* Whatever KVM there is will do for these guests; crosh-vm would want one for stock kernels. */
const struct machine_backend *__wrap_backend_choose(enum launcher_accel accel, char *notice,
                                                    size_t size, struct crosh_error *err);
const struct machine_backend *__wrap_backend_choose(enum launcher_accel accel, char *notice,
                                                    size_t size, struct crosh_error *err)
{
    (void)accel, (void)notice, (void)size, (void)err;
    return &machine_kvm;
}

static void launch(struct place *place, const char *restore_dir, bool paused)
{
    struct launcher_config config = {
        .machine = {.name = "test", .kernel = place->kernel, .vcpus = 1, .memory_bytes = 96 << 20},
        .runtime_dir = place->dir,
        .cid = 3,
        .restore_dir = restore_dir,
        .is_paused = paused,
        .no_sandbox = true,
    };
    int pair[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    place->pid = fork();
    if (place->pid == 0) {
        close(pair[0]);
        config.control_fd = pair[1];
        config.pid = getpid();
        _exit(launcher_run(&config, 0));
    }
    close(pair[1]);
    place->control = crosh_priv_control_adopt(pair[0], NULL);
    assert_non_null(place->control);
}

static void place_init(struct place *place)
{
    *place = (struct place){.dir = "/tmp/crosh-state-XXXXXX"};
    assert_non_null(mkdtemp(place->dir));
    (void)snprintf(place->kernel, sizeof(place->kernel), "%s/kernel-XXXXXX", place->dir);
    (void)snprintf(place->saved, sizeof(place->saved), "%s/saved", place->dir);
    (void)snprintf(place->log, sizeof(place->log), "%s/console.log", place->dir);
    (void)snprintf(place->old_log, sizeof(place->old_log), "%s/console.log.old", place->dir);
    (void)snprintf(place->ended, sizeof(place->ended), "%s/ended", place->dir);
    guest_run_write_kernel(place->kernel, &counter);
}

/* How the launcher ends. */
static int wait_end(struct place *place)
{
    int status;

    crosh_priv_control_close(place->control);
    place->control = NULL;
    assert_int_equal(waitpid(place->pid, &status, 0), place->pid);
    return status;
}

static void place_fini(struct place *place)
{
    char command[64];

    (void)kill(place->pid, SIGKILL);
    (void)wait_end(place);
    (void)snprintf(command, sizeof(command), "rm -rf %s", place->dir);
    assert_int_equal(system(command), 0);
}

static off_t log_size(const struct place *place)
{
    struct stat st;

    return stat(place->log, &st) == 0 ? st.st_size : 0;
}

static void assert_grows(const struct place *place)
{
    off_t before = log_size(place);

    for (int i = 0; i < STEPS && log_size(place) == before; i++)
        usleep(STEP_US);
    assert_int_not_equal(log_size(place), before);
}

static void assert_still(const struct place *place)
{
    off_t before = log_size(place);

    usleep(STILL_US);
    assert_int_equal(log_size(place), before);
}

static Control__State state_of(const struct place *place)
{
    struct crosh_error err = {0};
    Control__StatusReply *reply = NULL;
    Control__State state;

    if (crosh_priv_control_status(place->control, TIMEOUT_MS, &reply, &err) < 0)
        fail_msg("status: %s", err.message);
    state = reply->state;
    protobuf_c_message_free_unpacked(&reply->base, NULL);
    return state;
}

static void set_paused(const struct place *place, bool paused)
{
    struct crosh_error err = {0};

    if (crosh_priv_control_pause(place->control, paused, TIMEOUT_MS, &err) < 0)
        fail_msg("pause: %s", err.message);
}

static void save(const struct place *place, bool stop)
{
    struct crosh_error err = {0};

    if (crosh_priv_vm_snapshot(place->control, place->saved, stop, TIMEOUT_MS, &err) < 0)
        fail_msg("snapshot: %s", err.message);
}

/* What the guest wrote in both of its lives, one behind the other: not a byte is missing. */
static void assert_joined(const struct place *place)
{
    const char *const paths[] = {place->old_log, place->log};
    static uint8_t bytes[2 * CONSOLE_LOG_MAX];
    size_t size = 0;

    for (int i = 0; i < 2; i++) {
        int fd = open(paths[i], O_RDONLY | O_CLOEXEC);
        ssize_t n;

        assert_true(fd >= 0);
        n = read(fd, bytes + size, CONSOLE_LOG_MAX);
        assert_in_range(n, 1, CONSOLE_LOG_MAX - 1);
        size += (size_t)n;
        close(fd);
    }
    for (size_t at = 0; at + 5 <= size; at += 5) {
        uint32_t count;

        assert_int_equal(bytes[at], 'A');
        memcpy(&count, bytes + at + 1, sizeof(count));
        assert_int_equal(count, at / 5 + 1);
    }
}

static void test_pause(void **state)
{
    struct place place;

    (void)state;
    guest_run_need_kvm();
    place_init(&place);
    launch(&place, NULL, false);
    assert_grows(&place);
    assert_int_equal(state_of(&place), CONTROL__STATE__STARTING); /* it has no agent */
    for (int i = 0; i < 3; i++) {
        set_paused(&place, true);
        set_paused(&place, true);
        assert_int_equal(state_of(&place), CONTROL__STATE__PAUSED);
        assert_still(&place);
        set_paused(&place, false);
        set_paused(&place, false);
        assert_int_equal(state_of(&place), CONTROL__STATE__STARTING);
        assert_grows(&place);
    }
    place_fini(&place);
}

static void test_save_and_restore(void **state)
{
    struct place place;
    char text[256] = "";
    FILE *file;

    (void)state;
    guest_run_need_kvm();
    place_init(&place);
    launch(&place, NULL, false);
    assert_grows(&place);
    save(&place, false);
    assert_grows(&place);
    /* One that is paused stays so. */
    set_paused(&place, true);
    save(&place, false);
    assert_int_equal(state_of(&place), CONTROL__STATE__PAUSED);
    assert_still(&place);
    set_paused(&place, false);
    assert_grows(&place);

    save(&place, true);
    assert_int_equal(wait_end(&place), 0);
    file = fopen(place.ended, "re");
    assert_non_null(file);
    assert_non_null(fgets(text, sizeof(text), file));
    fclose(file);
    assert_non_null(strstr(text, "\"reason\":\"suspended\""));

    launch(&place, place.saved, false);
    while (state_of(&place) != CONTROL__STATE__STARTING)
        ;
    assert_grows(&place);
    set_paused(&place, true);
    assert_joined(&place);
    place_fini(&place);
}

static void test_begin_paused(void **state)
{
    struct place place;

    (void)state;
    guest_run_need_kvm();
    place_init(&place);
    launch(&place, NULL, true);
    for (int i = 0; i < STEPS && state_of(&place) != CONTROL__STATE__PAUSED; i++)
        usleep(STEP_US);
    assert_int_equal(state_of(&place), CONTROL__STATE__PAUSED);
    assert_int_equal(log_size(&place), 0);
    set_paused(&place, false);
    assert_grows(&place);
    place_fini(&place);
}

/* A request that must fail for this reason. */
static void assert_refused(const struct place *place, const int *fd, size_t count, const char *text)
{
    Control__SnapshotRequest snapshot = CONTROL__SNAPSHOT_REQUEST__INIT;
    Control__Request request = CONTROL__REQUEST__INIT;
    Control__Response *response = NULL;
    struct crosh_error err = {0};

    request.op_case = CONTROL__REQUEST__OP_SNAPSHOT;
    request.snapshot = &snapshot;
    assert_true(crosh_priv_control_call(place->control, &request, fd, count, TIMEOUT_MS, &response,
                                        &err) < 0);
    assert_null(response);
    assert_string_equal(err.message, text);
}

static void test_refused(void **state)
{
    static const char reason[] = "a snapshot takes two empty files that can be written";
    struct place place;
    char path[64];
    int good, fds[2];

    (void)state;
    guest_run_need_kvm();
    place_init(&place);
    launch(&place, NULL, false);
    assert_grows(&place);
    (void)snprintf(path, sizeof(path), "%s/file", place.dir);
    good = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(good >= 0);
    fds[0] = fds[1] = good;
    assert_refused(&place, NULL, 0, reason);
    assert_refused(&place, fds, 1, reason);
    fds[1] = open(path, O_RDONLY | O_CLOEXEC);
    assert_refused(&place, fds, 2, reason);
    close(fds[1]);
    fds[1] = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
    assert_refused(&place, fds, 2, reason);
    close(fds[1]);
    fds[1] = open(place.kernel, O_WRONLY | O_CLOEXEC); /* not empty */
    assert_refused(&place, fds, 2, reason);
    close(fds[1]);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    assert_refused(&place, fds, 2, reason);
    close(fds[0]);
    close(fds[1]);
    close(good);
    /* None of them has harmed the VM. */
    assert_grows(&place);
    save(&place, false);
    place_fini(&place);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pause),
        cmocka_unit_test(test_save_and_restore),
        cmocka_unit_test(test_begin_paused),
        cmocka_unit_test(test_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/* Attacks the sandbox from inside: what a device that was taken over would try, and its end. */

/*
 * Each attack is a child that is confined as a launcher is. Some attack from plain
 * threads; the last ones from a device: a port of a real machine whose write does what
 * the injected code would do, once a guest on KVM touches it.
 */
#include "tests/unit/cmocka-prelude.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <linux/vhost.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kvm/backend/kvm-machine.h"
#include "kvm/sandbox/sandbox.h"
#include "kvm/sandbox/seccomp.h"
#include "tests/kvm/attacks.h"
#include "tests/kvm/guest-programs.h"

enum { ATTACK_PORT = 0x510, LIMIT_S = 20, SURVIVED = 42 };

static void no_attack(void)
{
}

/* Runs fn in a child; its wait status. */
static int status_of(void (*fn)(void *opaque), void *opaque)
{
    int status = 0;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        alarm(LIMIT_S);
        fn(opaque);
        _exit(SURVIVED);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static bool is_killed(int status)
{
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS;
}

static bool has_survived(int status)
{
    return WIFEXITED(status) && WEXITSTATUS(status) == SURVIVED;
}

/* ---- From a launcher that runs an emulator ---- */

static void run_in_emulator(void *opaque)
{
    struct crosh_error err = {0};
    int code = sandbox_harden(&err);

    (void)signal(SIGSYS, SIG_DFL); /* the test's own would make it a failure of the test */
    if (code < 0 || seccomp_enter_emulator() < 0)
        _exit(1);
    (*(attack_fn **)opaque)();
}

static void trace(void)
{
    (void)ptrace(PTRACE_TRACEME, 0, NULL, NULL);
}

static void mount_something(void)
{
    (void)syscall(SYS_mount, "none", "/mnt", "tmpfs", 0, NULL);
}

static void leave_namespaces(void)
{
    (void)syscall(SYS_unshare, 0x10000000 /* CLONE_NEWUSER */);
}

static void load_program(void)
{
    (void)syscall(SYS_bpf, 0, NULL, 0);
}

/* What is on neither list is not there, whatever this kernel can. */
static void use_unlisted(void)
{
    if (syscall(SYS_chdir, "/") != -1 || errno != ENOSYS ||
        syscall(SYS_chmod, "/tmp/crosh-none", 0777) != -1 || errno != ENOSYS ||
        syscall(SYS_setuid, getuid()) != -1 || errno != ENOSYS ||
        syscall(SYS_landlock_create_ruleset, NULL, 0, 1) != -1 || errno != ENOSYS ||
        socket(AF_INET, SOCK_STREAM, 0) != -1 || errno != ENOSYS ||
        socket(AF_NETLINK, SOCK_RAW, 0) != -1 || errno != ENOSYS)
        _exit(1);
}

/* Emulators make threads, code, unix sockets, and are made. */
static void emulate(void)
{
    int pair[2], status = 0;
    pid_t pid;

    if (mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
            MAP_FAILED ||
        socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0)
        _exit(1);
    pid = fork();
    if (pid == 0) {
        (void)execl("/bin/true", "true", (char *)NULL);
        _exit(1);
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0)
        _exit(1);
}

static void test_emulator(void **state)
{
    attack_fn *const deadly[] = {trace, mount_something, leave_namespaces, load_program};
    attack_fn *const harmless[] = {no_attack, use_unlisted, emulate};

    (void)state;
    for (size_t i = 0; i < sizeof(deadly) / sizeof(deadly[0]); i++)
        assert_true(is_killed(status_of(run_in_emulator, (void *)&deadly[i])));
    for (size_t i = 0; i < sizeof(harmless) / sizeof(harmless[0]); i++)
        assert_true(has_survived(status_of(run_in_emulator, (void *)&harmless[i])));
}

/* ---- From plain threads ---- */

struct thread_attack {
    enum sandbox_thread thread;
    attack_fn *fn;
};

static void *attacking_thread(void *opaque)
{
    const struct thread_attack *attack = opaque;

    if (sandbox_enter_thread(attack->thread) < 0)
        _exit(1);
    attack->fn();
    return NULL;
}

static void confined(void)
{
    struct crosh_error err = {0};

    if (sandbox_enter("/tmp", NAMESPACES_ROOTS, 0, &err) < 0 ||
        sandbox_enter_thread(SANDBOX_THREAD_LOOP) < 0)
        _exit(1);
}

static void run_thread(void *opaque)
{
    pthread_t thread;

    confined();
    if (pthread_create(&thread, NULL, attacking_thread, opaque) != 0)
        _exit(1);
    (void)pthread_join(thread, NULL);
}

static void test_threads(void **state)
{
    static const enum sandbox_thread threads[] = {SANDBOX_THREAD_VCPU, SANDBOX_THREAD_DISK};

    (void)state;
    for (unsigned int t = 0; t < 2; t++) {
        struct thread_attack attack = {.thread = threads[t], .fn = no_attack};

        assert_true(has_survived(status_of(run_thread, &attack)));
        for (size_t i = 0; i < ATTACKS; i++) {
            int status;

            attack.fn = attacks[i].fn;
            status = status_of(run_thread, &attack);
            if (!is_killed(status))
                fail_msg("thread kind %u may %s (status %#x)", t, attacks[i].name, status);
        }
    }
}

/* ---- From the loop's thread: it may open, connect and make sockets, but only its own. ---- */

static void run_in_loop(void *opaque)
{
    confined();
    (*(attack_fn *const *)opaque)();
}

static void check_loop_files(void *opaque)
{
    char path[64];
    int fd;

    (void)opaque;
    confined();
    if (open("/etc/passwd", O_RDONLY | O_CLOEXEC) >= 0 || errno != ENOENT)
        _exit(2);
    if (open("/etc/crosh-attack", O_WRONLY | O_CREAT | O_CLOEXEC, 0600) >= 0 || errno != ENOENT)
        _exit(3);
    (void)snprintf(path, sizeof(path), "/tmp/crosh-sandbox-%d", (int)getpid());
    fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || close(fd) < 0 || unlink(path) < 0)
        _exit(4);
}

static void test_loop(void **state)
{
    (void)state;
    for (size_t i = 0; i < ATTACKS; i++) {
        int status;

        if (attacks[i].fn == attack_open || attacks[i].fn == attack_connect)
            continue;
        status = status_of(run_in_loop, (void *)&attacks[i].fn);
        if (!is_killed(status))
            fail_msg("the loop's thread may %s (status %#x)", attacks[i].name, status);
    }
    if (syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION) < 0)
        print_message("this host has no Landlock: files are not looked at\n");
    else
        assert_int_equal(status_of(check_loop_files, NULL), SURVIVED << 8);
}

/* ---- What a VM with the kernel's vsock may do beside, and no other ---- */

static void use_vsock(void)
{
    (void)socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

static void use_vhost(void)
{
    (void)ioctl(-1, VHOST_SET_MEM_TABLE, NULL);
}

/* Of vhost's requests those that no launcher needs once it is confined. */
static void take_vhost(void)
{
    (void)ioctl(-1, VHOST_SET_OWNER, NULL);
}

/* Socket options but those that streams need. */
static void set_option(void)
{
    const int on = 1;

    (void)setsockopt(-1, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
}

struct extra_attack {
    unsigned int extras;
    enum sandbox_thread thread;
    attack_fn *fn;
};

static void run_with_extras(void *opaque)
{
    const struct extra_attack *attack = opaque;
    struct thread_attack thread_attack = {.thread = attack->thread, .fn = attack->fn};
    struct crosh_error err = {0};
    pthread_t thread;

    if (sandbox_enter("/tmp", NAMESPACES_ROOTS, attack->extras, &err) < 0 ||
        sandbox_enter_thread(SANDBOX_THREAD_LOOP) < 0)
        _exit(1);
    if (attack->thread == SANDBOX_THREAD_LOOP)
        attack->fn();
    else if (pthread_create(&thread, NULL, attacking_thread, &thread_attack) == 0)
        (void)pthread_join(thread, NULL);
    else
        _exit(1);
}

static void test_kernel_vsock(void **state)
{
    static const struct {
        struct extra_attack attack;
        bool may;
    } rows[] = {
        {{0, SANDBOX_THREAD_LOOP, use_vsock}, false},
        {{0, SANDBOX_THREAD_LOOP, use_vhost}, false},
        {{0, SANDBOX_THREAD_LOOP, set_option}, false},
        {{SANDBOX_KERNEL_VSOCK, SANDBOX_THREAD_LOOP, use_vsock}, true},
        {{SANDBOX_KERNEL_VSOCK, SANDBOX_THREAD_LOOP, use_vhost}, true},
        {{SANDBOX_KERNEL_VSOCK, SANDBOX_THREAD_LOOP, take_vhost}, false},
        {{SANDBOX_KERNEL_VSOCK, SANDBOX_THREAD_LOOP, attack_socket}, false},
        {{SANDBOX_KERNEL_VSOCK, SANDBOX_THREAD_LOOP, set_option}, false},
        {{SANDBOX_KERNEL_VSOCK, SANDBOX_THREAD_VCPU, use_vsock}, false},
        {{SANDBOX_KERNEL_VSOCK, SANDBOX_THREAD_VCPU, use_vhost}, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct extra_attack attack = rows[i].attack;
        int status = status_of(run_with_extras, &attack);

        if (rows[i].may ? !has_survived(status) : !is_killed(status))
            fail_msg("row %zu: status %#x", i, status);
    }
}

/* ---- From a device, at the hands of a guest ---- */

GUEST_PROGRAM(touch_the_device, GUEST_WRITE_PORT(0x510, 1) GUEST_POWER_OFF);

static void device_write(void *opaque, uint64_t offset, uint64_t value, unsigned int size)
{
    (void)offset, (void)value, (void)size;
    (*(attack_fn *const *)opaque)();
}

static void on_ended(void *opaque, enum machine_end end, const char *detail)
{
    (void)detail;
    if (end != MACHINE_END_POWEROFF)
        _exit(5);
    event_loop_quit(opaque);
}

static void run_device(void *opaque)
{
    static const struct bus_ops ops = {.write = device_write};
    char path[] = "/tmp/crosh-guest-XXXXXX";
    int fd = mkstemp(path);
    struct machine_config config = {
        .name = "test", .kernel = path, .vcpus = 1, .memory_bytes = 64 << 20};
    struct crosh_error err = {0};
    struct machine_host host = {.ended = on_ended};
    struct machine *machine;

    if (guest_write_kernel(fd, touch_the_device.start,
                           (size_t)(touch_the_device.end - touch_the_device.start)) < 0)
        _exit(6);
    (void)close(fd);
    host.loop = host.opaque = event_loop_new(&err);
    confined();
    machine = machine_kvm.create(&config, &host, &err);
    (void)unlink(path);
    if (machine == NULL || bus_add(&machine->board.ports, ATTACK_PORT, 1, &ops, opaque) < 0 ||
        machine_kvm.start(machine, &err) < 0 || event_loop_run(host.loop, &err) < 0)
        _exit(7);
    machine_kvm.destroy(machine);
}

static void test_device(void **state)
{
    attack_fn *none = no_attack;
    int status;

    (void)state;
    if (access("/dev/kvm", R_OK | W_OK) < 0) {
        print_message("skipped: /dev/kvm: %s\n", strerror(errno));
        skip();
    }
    /* The same machine, its device well-behaved: runs to its end and is taken apart. */
    status = status_of(run_device, &none);
    if (!has_survived(status))
        fail_msg("a confined machine does not run (status %#x)", status);
    for (size_t i = 0; i < ATTACKS; i++) {
        status = status_of(run_device, (void *)&attacks[i].fn);
        if (!is_killed(status))
            fail_msg("a device may %s (status %#x)", attacks[i].name, status);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_emulator), cmocka_unit_test(test_threads),
        cmocka_unit_test(test_loop),     cmocka_unit_test(test_kernel_vsock),
        cmocka_unit_test(test_device),
    };

    return cmocka_run_group_tests_name("sandbox", tests, NULL, NULL);
}

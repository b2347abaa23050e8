/* SPDX-License-Identifier: MIT */
/* Runs whole launchers with tiny guests: how each end is told, and that injected code is the end.
 */

/*
 * The program is hijacked-launcher, which is crosh-vm with one more device, and that has a
 * bug. Its guests take what KVM this machine has.
 */
#include "tests/unit/cmocka-prelude.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "tests/kvm/attacks.h"
#include "tests/kvm/guest-programs.h"

enum { PASSED_FD = 70, STRAY_FD = 77, WAIT_MS = 20000, POLL_MS = 10 };

/*
 * Reads the pointer behind the device's bytes, lets it point to the next attack but esi / 8
 * in the same table, and rings the bell. The first five bytes are "mov $STEP, %esi".
 */
GUEST_PROGRAM(hijack, "mov $0x11223344, %esi\n"
                      "xor %ebx, %ebx\n"
                      "mov $8, %ecx\n"
                      "1: mov $0x512, %edx\n mov %cl, %al\n out %al, (%dx)\n"
                      "mov $0x510, %edx\n in (%dx), %al\n"
                      "movzbl %al, %eax\n shl $56, %rax\n shr $8, %rbx\n or %rax, %rbx\n"
                      "inc %ecx\n cmp $16, %ecx\n jne 1b\n"
                      "add %rsi, %rbx\n"
                      "mov $8, %ecx\n"
                      "2: mov $0x512, %edx\n mov %cl, %al\n out %al, (%dx)\n"
                      "mov $0x510, %edx\n mov %bl, %al\n out %al, (%dx)\n"
                      "shr $8, %rbx\n"
                      "inc %ecx\n cmp $16, %ecx\n jne 2b\n"
                      "mov $0x513, %edx\n out %al, (%dx)\n" GUEST_POWER_OFF);

GUEST_PROGRAM(run_for_ever, "1: jmp 1b\n");

/* Says something on its console, with a character that is not for terminals, and faults without
   anybody to turn to. The text of JSON escapes what it has to. */
GUEST_PROGRAM(fault_thrice, GUEST_SEND("o") GUEST_SEND("h") "mov $27, %al\n" GUEST_SEND_AL
                                                            "mov $'\n', %al\n" GUEST_SEND_AL
                                                            "movabs $0x1234567890abcdef, %r15\n"
                                                            "lidt 1f(%rip)\n ud2\n"
                                                            "1: .zero 10\n");

struct vm {
    char dir[64];
    char program[256];
    pid_t pid;   /* the process that was started */
    int control; /* our end of the descriptor that was named to it */
};

static void set_up_vm(struct vm *vm, const uint8_t *code, size_t size)
{
    char self[200], kernel[96];
    ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);
    int fd;

    if (access("/dev/kvm", R_OK | W_OK) < 0) {
        print_message("skipped: /dev/kvm: %s\n", strerror(errno));
        skip();
    }
    assert_true(length > 0);
    self[length] = '\0';
    *strrchr(self, '/') = '\0';
    snprintf(vm->program, sizeof(vm->program), "%s/hijacked-launcher", self);
    strcpy(vm->dir, "/tmp/test-launcher.XXXXXX");
    assert_non_null(mkdtemp(vm->dir));
    snprintf(kernel, sizeof(kernel), "%s/kernel", vm->dir);
    fd = open(kernel, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(guest_write_kernel(fd, code, size), 0);
    close(fd);
}

static void start_vm(struct vm *vm)
{
    char kernel[96], control[32];
    int pair[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    snprintf(kernel, sizeof(kernel), "%s/kernel", vm->dir);
    snprintf(control, sizeof(control), "%d", PASSED_FD);
    vm->pid = fork();
    assert_true(vm->pid >= 0);
    if (vm->pid == 0) {
        /* A test that fails leaves nothing running. */
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);

        /* One descriptor that is named, and one that somebody forgot. */
        if (dup2(pair[0], PASSED_FD) < 0 || dup2(pair[1], STRAY_FD) < 0)
            _exit(99);
        (void)execl(vm->program, vm->program, "--name", "test", "--runtime-dir", vm->dir, "--accel",
                    "kvm", "--memory", "96M", "--kernel", kernel, "--control-fd", control, NULL);
        _exit(98);
    }
    close(pair[0]);
    vm->control = pair[1];
}

/* Its exit status, or minus the signal that ended it. */
static int wait_for_end(struct vm *vm)
{
    int status = 0;

    for (int waited = 0; waitpid(vm->pid, &status, WNOHANG) == 0; waited += POLL_MS) {
        if (waited >= WAIT_MS) {
            (void)kill(vm->pid, SIGKILL);
            fail_msg("the launcher does not end");
        }
        (void)poll(NULL, 0, POLL_MS);
    }
    close(vm->control);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static const char *read_text(const char *path)
{
    static char text[16384];
    FILE *file = fopen(path, "re");

    text[0] = '\0';
    if (file != NULL) {
        text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
        fclose(file);
    }
    return text;
}

static const char *ended(const struct vm *vm)
{
    char path[96];

    snprintf(path, sizeof(path), "%s/ended", vm->dir);
    return read_text(path);
}

static bool has(const struct vm *vm, const char *name)
{
    char path[96];

    snprintf(path, sizeof(path), "%s/%s", vm->dir, name);
    return access(path, F_OK) == 0;
}

static void tear_down_vm(struct vm *vm)
{
    static const char *const names[] = {"kernel",          "lock",        "ended", "console.log",
                                        "console.log.old", "crash.json",  "pid",   "control.sock",
                                        "vsock.sock",      "console.sock"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char path[96];

        snprintf(path, sizeof(path), "%s/%s", vm->dir, names[i]);
        (void)unlink(path);
    }
    assert_int_equal(rmdir(vm->dir), 0);
}

static long status_number(pid_t pid, const char *field)
{
    char path[64];
    const char *found;

    snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
    found = strstr(read_text(path), field);
    return found != NULL ? strtol(found + strlen(field), NULL, 0) : -1;
}

/* The child of the process that was started, once it runs its vcpu. */
static pid_t wait_for_launcher(const struct vm *vm)
{
    for (int waited = 0; waited < WAIT_MS; waited += POLL_MS) {
        DIR *proc = opendir("/proc");
        const struct dirent *entry;
        pid_t found = -1;

        while (found < 0 && (entry = readdir(proc)) != NULL) {
            pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);

            if (pid > 0 && status_number(pid, "\nPPid:") == vm->pid)
                found = pid;
        }
        closedir(proc);
        if (found > 0 && status_number(found, "\nThreads:") >= 2)
            return found;
        (void)poll(NULL, 0, POLL_MS);
    }
    fail_msg("no launcher");
    return -1;
}

/* ---- Injected code ---- */

static void start_hijacked(struct vm *vm, uint32_t step)
{
    uint8_t code[256];
    size_t size = (size_t)(hijack.end - hijack.start);

    assert_true(size <= sizeof(code));
    memcpy(code, hijack.start, size);
    memcpy(code + 1, &step, sizeof(step));
    set_up_vm(vm, code, size);
    start_vm(vm);
}

static void a_device_that_behaves_powers_off(void **state)
{
    struct vm vm;

    (void)state;
    start_hijacked(&vm, 0);
    assert_int_equal(wait_for_end(&vm), 0);
    assert_non_null(strstr(ended(&vm), "\"poweroff\""));
    tear_down_vm(&vm);
}

static void injected_code_is_the_end_and_is_named(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < ATTACKS; i++) {
        char call[96];
        struct vm vm;
        int status;

        start_hijacked(&vm, (1 + i) * (uint32_t)sizeof(attack_fn *));
        status = wait_for_end(&vm);
        snprintf(call, sizeof(call), "forbidden system call: %s (", attacks[i].call);
        if (status != 11 || strstr(ended(&vm), call) == NULL)
            fail_msg("%s: status %d, ended %s", attacks[i].name, status, ended(&vm));
        assert_non_null(strstr(ended(&vm), "{\"reason\":\"crash\""));
        assert_non_null(strstr(ended(&vm), "in a vcpu thread (SIGSYS)"));
        assert_non_null(strstr(ended(&vm), "\"status\":11"));
        /* Nothing that would be taken for a live launcher's. */
        assert_false(has(&vm, "pid"));
        assert_false(has(&vm, "control.sock"));
        assert_false(has(&vm, "vsock.sock"));
        tear_down_vm(&vm);
    }
}

/* ---- Supervisor and launcher ---- */

static void start_endless(struct vm *vm)
{
    set_up_vm(vm, run_for_ever.start, (size_t)(run_for_ever.end - run_for_ever.start));
    start_vm(vm);
}

static void the_launcher_lives_apart(void **state)
{
    char path[128], number[16];
    struct vm vm;
    pid_t launcher;
    DIR *fds;
    const struct dirent *entry;
    bool has_passed = false;

    (void)state;
    start_endless(&vm);
    launcher = wait_for_launcher(&vm);
    snprintf(path, sizeof(path), "%s/pid", vm.dir);
    snprintf(number, sizeof(number), "%d\n", (int)vm.pid);
    assert_string_equal(read_text(path), number);
    assert_int_equal(status_number(launcher, "\nSeccomp:"), 2);
    assert_int_equal(status_number(vm.pid, "\nSeccomp:"), 2);
    assert_int_equal(status_number(vm.pid, "\nNoNewPrivs:"), 1);
    snprintf(path, sizeof(path), "/proc/%d/status", (int)launcher);
    snprintf(number, sizeof(number), "\t%d\t1\n", (int)launcher);
    if (strstr(read_text(path), number) == NULL) {
        print_message("skipped: this machine allows no pid namespaces\n");
        skip();
    }
    /* Besides the descriptor that was named, nothing was inherited. */
    snprintf(path, sizeof(path), "/proc/%d/fd", (int)launcher);
    fds = opendir(path);
    if (fds != NULL) {
        while ((entry = readdir(fds)) != NULL) {
            assert_int_not_equal(strtol(entry->d_name, NULL, 10), STRAY_FD);
            has_passed |= strtol(entry->d_name, NULL, 10) == PASSED_FD;
        }
        closedir(fds);
        assert_true(has_passed);
        /* The private root: what is mounted, and where. */
        snprintf(path, sizeof(path), "/proc/%d/mountinfo", (int)launcher);
        assert_non_null(strstr(read_text(path), " / / ro,nosuid,nodev,noexec"));
        assert_non_null(strstr(read_text(path), vm.dir));
        assert_null(strstr(read_text(path), " /proc "));
        snprintf(path, sizeof(path), "/proc/%d/root/etc", (int)launcher);
        assert_int_equal(access(path, F_OK), -1);
    }
    assert_int_equal(kill(vm.pid, SIGKILL), 0);
    assert_int_equal(wait_for_end(&vm), -SIGKILL);
    tear_down_vm(&vm);
}

static void wait_until_gone(pid_t pid)
{
    for (int waited = 0; kill(pid, 0) == 0; waited += POLL_MS) {
        assert_true(waited < WAIT_MS);
        (void)poll(NULL, 0, POLL_MS);
    }
}

static void a_killed_supervisor_takes_the_launcher_along(void **state)
{
    struct vm vm;
    pid_t launcher;

    (void)state;
    start_endless(&vm);
    launcher = wait_for_launcher(&vm);
    assert_int_equal(kill(vm.pid, SIGKILL), 0);
    assert_int_equal(wait_for_end(&vm), -SIGKILL);
    wait_until_gone(launcher);
    tear_down_vm(&vm);
}

static void a_killed_launcher_is_told_of(void **state)
{
    struct vm vm;

    (void)state;
    start_endless(&vm);
    assert_int_equal(kill(wait_for_launcher(&vm), SIGKILL), 0);
    assert_int_equal(wait_for_end(&vm), 11);
    assert_non_null(strstr(ended(&vm), "ended by SIGKILL"));
    assert_false(has(&vm, "pid"));
    tear_down_vm(&vm);
}

static void a_signal_from_outside_is_told(void **state)
{
    struct vm vm;

    (void)state;
    start_endless(&vm);
    assert_int_equal(kill(wait_for_launcher(&vm), SIGSEGV), 0);
    assert_int_equal(wait_for_end(&vm), 11);
    assert_non_null(strstr(ended(&vm), "ended by SIGSEGV"));
    tear_down_vm(&vm);
}

static void a_fault_is_told_with_its_address(void **state)
{
    struct vm vm;

    (void)state;
    start_hijacked(&vm, (1 + ATTACKS) * (uint32_t)sizeof(attack_fn *));
    assert_int_equal(wait_for_end(&vm), 11);
    assert_non_null(strstr(ended(&vm), "ended by SIGSEGV in a vcpu thread (address 0x123)"));
    tear_down_vm(&vm);
}

/* ---- The guest's own crash ---- */

static void a_triple_fault_is_reported(void **state)
{
    char path[96];
    const char *report;
    struct vm vm;

    (void)state;
    set_up_vm(&vm, fault_thrice.start, (size_t)(fault_thrice.end - fault_thrice.start));
    start_vm(&vm);
    assert_int_equal(wait_for_end(&vm), 11);
    assert_non_null(strstr(ended(&vm), "triple fault on vcpu 0"));
    snprintf(path, sizeof(path), "%s/crash.json", vm.dir);
    report = read_text(path);
    assert_non_null(strstr(report, "\"reason\": \"triple fault on vcpu 0"));
    assert_non_null(strstr(report, "\"r15\": \"0x1234567890abcdef\""));
    assert_non_null(strstr(report, "\"idt_limit\": \"0\""));
    /* The instruction that did it. */
    assert_non_null(strstr(report, "\"code\": \"0f0b"));
    assert_non_null(strstr(report, "\"oh?\""));
    tear_down_vm(&vm);
}

static void signals_are_passed_on(void **state)
{
    struct vm vm;

    (void)state;
    start_endless(&vm);
    (void)wait_for_launcher(&vm);
    /* The first is a wish, which this guest does not hear. */
    assert_int_equal(kill(vm.pid, SIGTERM), 0);
    for (int waited = 0; has(&vm, "pid"); waited += POLL_MS) {
        assert_true(waited < WAIT_MS);
        (void)poll(NULL, 0, POLL_MS);
        (void)kill(vm.pid, SIGTERM);
    }
    assert_int_equal(wait_for_end(&vm), 12);
    assert_non_null(strstr(ended(&vm), "\"killed\""));
    tear_down_vm(&vm);
}

static void a_vm_runs_once(void **state)
{
    struct vm vm, second;

    (void)state;
    start_endless(&vm);
    (void)wait_for_launcher(&vm);
    second = vm;
    start_vm(&second);
    assert_int_equal(wait_for_end(&second), 4);
    assert_true(has(&vm, "pid"));
    assert_int_equal(kill(vm.pid, SIGKILL), 0);
    (void)wait_for_end(&vm);
    tear_down_vm(&vm);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_device_that_behaves_powers_off),
        cmocka_unit_test(injected_code_is_the_end_and_is_named),
        cmocka_unit_test(the_launcher_lives_apart),
        cmocka_unit_test(a_killed_supervisor_takes_the_launcher_along),
        cmocka_unit_test(a_killed_launcher_is_told_of),
        cmocka_unit_test(a_signal_from_outside_is_told),
        cmocka_unit_test(a_fault_is_told_with_its_address),
        cmocka_unit_test(a_triple_fault_is_reported),
        cmocka_unit_test(signals_are_passed_on),
        cmocka_unit_test(a_vm_runs_once),
    };

    return cmocka_run_group_tests_name("launcher", tests, NULL, NULL);
}

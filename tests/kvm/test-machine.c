/* SPDX-License-Identifier: MIT */
/* Runs bare-metal guests on the KVM backend: exits, ends, devices, teardown. */

/*
 * These need /dev/kvm but no processor support: a KVM that emulates instructions
 * runs them as well. Without /dev/kvm all are skipped.
 */
#include "tests/unit/cmocka-prelude.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "kvm/machine.h"
#include "tests/kvm/guest-programs.h"

enum { LOAD = 0x100000, LIMIT_MS = 20000, OUTPUT_MAX = 65536 };

struct run {
    struct event_loop *loop;
    struct machine *machine;
    struct event_source *timer;
    const char *type_when_ready; /* typed once the guest has written a byte */
    char output[OUTPUT_MAX];
    size_t output_size;
    bool has_ended, is_late;
    bool is_slow; /* takes its time over the output */
    enum machine_end end;
    char detail[1024];
};

static void on_output(void *opaque, const void *data, size_t size)
{
    struct run *run = opaque;

    if (size > sizeof(run->output) - run->output_size)
        size = sizeof(run->output) - run->output_size;
    if (run->is_slow)
        usleep(200000);
    memcpy(run->output + run->output_size, data, size);
    run->output_size += size;
    if (run->type_when_ready != NULL) {
        machine_kvm.console_input(run->machine, run->type_when_ready, strlen(run->type_when_ready));
        run->type_when_ready = NULL;
    }
}

static void on_ended(void *opaque, enum machine_end end, const char *detail)
{
    struct run *run = opaque;

    assert_false(run->has_ended);
    run->has_ended = true;
    run->end = end;
    (void)snprintf(run->detail, sizeof(run->detail), "%s", detail);
    event_loop_quit(run->loop);
}

static void on_late(void *opaque)
{
    struct run *run = opaque;

    run->is_late = true;
    event_loop_quit(run->loop);
}

static void write_all(int fd, const void *data, size_t size)
{
    assert_int_equal(write(fd, data, size), size);
}

/* The program as an ELF kernel that is loaded and entered at LOAD. */
static void write_kernel(const char *path, const struct guest_program *program)
{
    size_t size = (size_t)(program->end - program->start);
    Elf64_Ehdr header = {
        .e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
        .e_type = ET_EXEC,
        .e_machine = EM_X86_64,
        .e_entry = LOAD,
        .e_phoff = sizeof(header),
        .e_phentsize = sizeof(Elf64_Phdr),
        .e_phnum = 1,
    };
    Elf64_Phdr segment = {.p_type = PT_LOAD,
                          .p_offset = sizeof(header) + sizeof(segment),
                          .p_paddr = LOAD,
                          .p_filesz = size,
                          .p_memsz = size};
    int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);

    assert_true(fd >= 0);
    write_all(fd, &header, sizeof(header));
    write_all(fd, &segment, sizeof(segment));
    write_all(fd, program->start, size);
    close(fd);
}

static void boot(struct run *run, const struct guest_program *program, unsigned int vcpus)
{
    char path[] = "/tmp/crosh-guest-XXXXXX";
    int fd = mkstemp(path);
    struct machine_config config = {
        .name = "test", .kernel = path, .vcpus = vcpus, .memory_bytes = 64 << 20};
    struct machine_host host = {.opaque = run, .console_output = on_output, .ended = on_ended};
    struct crosh_error err = {0};

    assert_true(fd >= 0);
    close(fd);
    write_kernel(path, program);
    host.loop = run->loop = event_loop_new(&err);
    assert_non_null(run->loop);
    run->machine = machine_kvm.create(&config, &host, &err);
    unlink(path);
    if (run->machine == NULL)
        fail_msg("create: %s", err.message);
    assert_int_equal(machine_kvm.start(run->machine, &err), 0);
    run->timer = event_timer_add(run->loop, on_late, run);
    assert_non_null(run->timer);
}

static void run_for(struct run *run, int64_t ms)
{
    struct crosh_error err = {0};

    event_timer_set(run->timer, ms);
    assert_int_equal(event_loop_run(run->loop, &err), 0);
}

static void take_apart(struct run *run)
{
    machine_kvm.destroy(run->machine);
    event_loop_free(run->loop);
}

/* Boots a program and waits for its end. */
static struct run *run_to_end(const struct guest_program *program, enum machine_end end)
{
    struct run *run = test_calloc(1, sizeof(*run));

    boot(run, program, 1);
    run_for(run, LIMIT_MS);
    take_apart(run);
    if (!run->has_ended)
        fail_msg("the guest did not end; it wrote \"%.*s\"", (int)run->output_size, run->output);
    if (run->end != end)
        fail_msg("it ended with %d: %s", (int)run->end, run->detail);
    return run;
}

#define NEEDS_KVM()                                                                                \
    do {                                                                                           \
        if (access("/dev/kvm", R_OK | W_OK) < 0) {                                                 \
            print_message("skipped: /dev/kvm: %s\n", strerror(errno));                             \
            skip();                                                                                \
        }                                                                                          \
    } while (0)

/* ---- Ends ---- */

GUEST_PROGRAM(hello_and_off, GUEST_SEND("h") GUEST_SEND("i") GUEST_POWER_OFF);

static void test_power_off(void **state)
{
    struct run *run;

    (void)state;
    NEEDS_KVM();
    run = run_to_end(&hello_and_off, MACHINE_END_POWEROFF);
    assert_int_equal(run->output_size, 2);
    assert_memory_equal(run->output, "hi", 2);
    test_free(run);
}

/* Century, year and month, as the clock has them. */
#define SEND_RTC(index)                                                                            \
    GUEST_WRITE_PORT(0x70, index)                                                                  \
    "mov $0x71, %edx\n"                                                                            \
    "in (%dx), %al\n" GUEST_SEND_AL
GUEST_PROGRAM(tell_date, SEND_RTC(0x32) SEND_RTC(9) SEND_RTC(8) GUEST_POWER_OFF);

static void test_clock(void **state)
{
    char date[8], wanted[8];
    time_t now = time(NULL);
    struct run *run;

    (void)state;
    NEEDS_KVM();
    run = run_to_end(&tell_date, MACHINE_END_POWEROFF);
    assert_int_equal(run->output_size, 3);
    (void)snprintf(date, sizeof(date), "%02x%02x%02x", run->output[0], run->output[1],
                   run->output[2]);
    test_free(run);
    (void)strftime(wanted, sizeof(wanted), "%Y%m", gmtime(&now));
    assert_string_equal(date, wanted);
}

GUEST_PROGRAM(reset_by_acpi, GUEST_WRITE_PORT(0x602, 1) "hlt\n");
GUEST_PROGRAM(reset_by_keyboard, GUEST_WRITE_PORT(0x64, 0xfe) "hlt\n");

static void test_reset(void **state)
{
    (void)state;
    NEEDS_KVM();
    test_free(run_to_end(&reset_by_acpi, MACHINE_END_RESET));
    test_free(run_to_end(&reset_by_keyboard, MACHINE_END_RESET));
}

/* Unmasks the event device's pin (5) of the I/O APIC, as a running kernel has it. */
GUEST_PROGRAM(reset_in_a_hurry, "mov $0xfec00000, %ebx\n"
                                "movl $0x1a, (%rbx)\n"
                                "movl $0x31, 0x10(%rbx)\n" GUEST_WRITE_PORT(0x602, 1) "hlt\n");
GUEST_PROGRAM(panic_by_device, GUEST_WRITE_PORT(0x605, 1) "hlt\n");
GUEST_PROGRAM(triple_fault, "ud2\n");

static void test_crash(void **state)
{
    struct run *run;

    (void)state;
    NEEDS_KVM();
    run = run_to_end(&reset_in_a_hurry, MACHINE_END_CRASH);
    assert_non_null(strstr(run->detail, "without shutting down"));
    test_free(run);
    run = run_to_end(&panic_by_device, MACHINE_END_CRASH);
    assert_non_null(strstr(run->detail, "panicked"));
    test_free(run);
    run = run_to_end(&triple_fault, MACHINE_END_CRASH);
    assert_non_null(strstr(run->detail, "triple fault on vcpu 0 (rip 0x"));
    test_free(run);
}

/* ---- Console ---- */

/* 40000 bytes, each 4096 one higher: more than the buffer on the way to the loop holds. */
GUEST_PROGRAM(talkative, "mov $0x200000, %edi\n"
                         "xor %eax, %eax\n"
                         "1: mov %ah, %cl\n"
                         "shr $4, %cl\n"
                         "mov %cl, (%rdi,%rax)\n"
                         "inc %eax\n"
                         "cmp $40000, %eax\n"
                         "jne 1b\n"
                         "mov %eax, %ecx\n"
                         "mov %edi, %esi\n"
                         "mov $0x3f8, %edx\n"
                         "rep outsb\n" GUEST_POWER_OFF);

static void test_much_output(void **state)
{
    struct run *run;

    (void)state;
    NEEDS_KVM();
    run = test_calloc(1, sizeof(*run));
    run->is_slow = true;
    boot(run, &talkative, 1);
    run_for(run, LIMIT_MS);
    take_apart(run);
    assert_true(run->has_ended);
    assert_int_equal(run->end, MACHINE_END_POWEROFF);
    assert_int_equal(run->output_size, 40000);
    for (size_t i = 0; i < run->output_size; i++)
        assert_int_equal((uint8_t)run->output[i], i / 4096);
    test_free(run);
}

/* Says that it listens, sends each byte it gets plus one, ends at a full stop. */
GUEST_PROGRAM(echo, GUEST_SEND(">") "1: mov $0x3fd, %edx\n"
                                    "in (%dx), %al\n"
                                    "test $1, %al\n"
                                    "jz 1b\n"
                                    "mov $0x3f8, %edx\n"
                                    "in (%dx), %al\n"
                                    "cmp $'.', %al\n"
                                    "je 2f\n"
                                    "inc %al\n"
                                    "out %al, (%dx)\n"
                                    "jmp 1b\n"
                                    "2:\n" GUEST_POWER_OFF);

static void test_input(void **state)
{
    struct run *run = test_calloc(1, sizeof(*run));

    (void)state;
    NEEDS_KVM();
    run->type_when_ready = "HAL.";
    boot(run, &echo, 1);
    run_for(run, LIMIT_MS);
    take_apart(run);
    assert_true(run->has_ended);
    assert_int_equal(run->output_size, 4);
    assert_memory_equal(run->output, ">IBM", 4);
    test_free(run);
}

/* ---- Devices ---- */

/* Slots 0 and 1 by ECAM and by ports; nothing in slot 31. */
GUEST_PROGRAM(list_pci, "mov $0xe0000000, %ebx\n"
                        "mov (%rbx), %eax\n" GUEST_SEND_EAX
                        "mov 0x8000(%rbx), %eax\n" GUEST_SEND_EAX "mov $0xcf8, %edx\n"
                        "mov $0x80000800, %eax\n"
                        "out %eax, (%dx)\n"
                        "mov $0xcfc, %edx\n"
                        "in (%dx), %eax\n" GUEST_SEND_EAX
                        "mov 0xf8000(%rbx), %eax\n" GUEST_SEND_EAX GUEST_POWER_OFF);

static void test_pci(void **state)
{
    static const uint8_t wanted[] = {
        0x36, 0x1b, 0x08, 0x00, 0xf4, 0x1a, 0x43, 0x10,
        0xf4, 0x1a, 0x43, 0x10, 0xff, 0xff, 0xff, 0xff,
    };
    struct run *run;

    (void)state;
    NEEDS_KVM();
    run = run_to_end(&list_pci, MACHINE_END_POWEROFF);
    assert_int_equal(run->output_size, sizeof(wanted));
    assert_memory_equal(run->output, wanted, sizeof(wanted));
    test_free(run);
}

/*
 * A whole driver for virtio-rng in slot 2: finds the MSI-X capability, negotiates,
 * sets one queue up, rings the doorbell, waits for the used ring and then for the
 * interrupt (vector 0x41) to be requested in the local APIC. Sends R, and the number
 * of bytes it was given.
 */
GUEST_PROGRAM(drive_rng, "mov $0xe0010000, %ebx\n" /* configuration space of slot 2 */
                         "mov 0x10(%rbx), %edi\n"  /* its BAR */
                         "movw $6, 4(%rbx)\n"      /* memory, bus master */
                         "movzbl 0x34(%rbx), %ecx\n"
                         "1: cmpb $0x11, (%rbx,%rcx)\n"
                         "je 2f\n"
                         "movzbl 1(%rbx,%rcx), %ecx\n"
                         "jmp 1b\n"
                         "2: movw $0x8000, 2(%rbx,%rcx)\n"
                         "movl $0xfee00000, 0x4010(%rdi)\n" /* vector 1 of the table */
                         "movl $0, 0x4014(%rdi)\n"
                         "movl $0x41, 0x4018(%rdi)\n"
                         "movl $0, 0x401c(%rdi)\n"
                         "mov $0xfee00000, %esi\n"
                         "movl $0x1ff, 0xf0(%rsi)\n" /* the local APIC: on */
                         "movb $0, 0x14(%rdi)\n"
                         "movb $3, 0x14(%rdi)\n"
                         "movl $1, 8(%rdi)\n"
                         "movl $1, 12(%rdi)\n" /* VIRTIO_F_VERSION_1 */
                         "movl $0, 8(%rdi)\n"
                         "movl $0, 12(%rdi)\n"
                         "movb $11, 0x14(%rdi)\n"
                         "movw $0, 0x16(%rdi)\n"
                         "movw $8, 0x18(%rdi)\n"
                         "movw $1, 0x1a(%rdi)\n"
                         "movl $0x200000, 0x20(%rdi)\n"
                         "movl $0, 0x24(%rdi)\n"
                         "movl $0x201000, 0x28(%rdi)\n"
                         "movl $0, 0x2c(%rdi)\n"
                         "movl $0x202000, 0x30(%rdi)\n"
                         "movl $0, 0x34(%rdi)\n"
                         "movw $1, 0x1c(%rdi)\n"
                         "movb $15, 0x14(%rdi)\n"
                         "mov $0x200000, %eax\n"
                         "movq $0x203000, (%rax)\n" /* one writable descriptor of 16 bytes */
                         "movl $16, 8(%rax)\n"
                         "movl $2, 12(%rax)\n"
                         "movl $0x10000, 0x1000(%rax)\n" /* available: index 1, entry 0 */
                         "movw $0, 0x1004(%rax)\n"
                         "movw $0, 0x3000(%rdi)\n" /* the doorbell */
                         "3: cmpw $1, 0x2002(%rax)\n"
                         "jne 3b\n"
                         "4: testl $2, 0x220(%rsi)\n" /* vector 0x41 requested */
                         "jz 4b\n"
                         "mov 0x2008(%rax), %ebp\n" GUEST_SEND(
                             "R") "mov %ebp, %eax\n" GUEST_SEND_EAX GUEST_POWER_OFF);

static void test_virtio_with_interrupt(void **state)
{
    struct run *run;

    (void)state;
    NEEDS_KVM();
    run = run_to_end(&drive_rng, MACHINE_END_POWEROFF);
    assert_int_equal(run->output_size, 5);
    assert_memory_equal(run->output, "R\x10\0\0\0", 5);
    test_free(run);
}

/*
 * Writes to and reads from every place of the console's BAR, in every size, then a
 * wild start of the device (garbage features, queues nowhere) and a reset.
 */
GUEST_PROGRAM(abuse_bar, "mov $0xe0008000, %ebx\n"
                         "mov 0x10(%rbx), %edi\n"
                         "movw $6, 4(%rbx)\n"
                         "mov $0x8000, %ecx\n"
                         "1: sub $63, %ecx\n" /* an odd stride: all alignments */
                         "js 2f\n"
                         "mov (%rdi,%rcx), %al\n"
                         "mov (%rdi,%rcx), %ax\n"
                         "mov (%rdi,%rcx), %eax\n"
                         "mov (%rdi,%rcx), %rax\n"
                         "mov %al, (%rdi,%rcx)\n"
                         "mov %ax, (%rdi,%rcx)\n"
                         "mov %eax, (%rdi,%rcx)\n"
                         "mov %rax, (%rdi,%rcx)\n"
                         "jmp 1b\n"
                         "2: movb $0, 0x14(%rdi)\n"
                         "movb $3, 0x14(%rdi)\n"
                         "movl $1, 8(%rdi)\n"
                         "movl $-1, 12(%rdi)\n"
                         "movb $11, 0x14(%rdi)\n"
                         "mov 0x14(%rdi), %al\n" /* FEATURES_OK was refused: 3 */
              GUEST_SEND_AL "movl $1, 12(%rdi)\n"
                         "movb $11, 0x14(%rdi)\n"
                         "mov 0x14(%rdi), %al\n" /* accepted: 11 */
              GUEST_SEND_AL "movl $-1, 0x20(%rdi)\n"
                         "movl $-1, 0x24(%rdi)\n"
                         "movw $1, 0x1c(%rdi)\n"
                         "movb $15, 0x14(%rdi)\n"
                         "mov 0x14(%rdi), %al\n" /* DEVICE_NEEDS_RESET: 79 */
              GUEST_SEND_AL "movb $0, 0x14(%rdi)\n"
                         "mov 0x14(%rdi), %al\n" /* reset: 0 */
              GUEST_SEND_AL GUEST_POWER_OFF);

static void test_abused_bar(void **state)
{
    struct run *run;

    (void)state;
    NEEDS_KVM();
    run = run_to_end(&abuse_bar, MACHINE_END_POWEROFF);
    assert_int_equal(run->output_size, 4);
    assert_memory_equal(run->output, "\x03\x0b\x4f\x00", 4);
    test_free(run);
}

/* ---- Teardown ---- */

GUEST_PROGRAM(spin, "1: jmp 1b\n");
GUEST_PROGRAM(halt, "1: hlt\njmp 1b\n");
GUEST_PROGRAM(flood, "1: mov $0x200000, %esi\n"
                     "mov $0x1000, %ecx\n"
                     "mov $0x3f8, %edx\n"
                     "rep outsb\n"
                     "jmp 1b\n");
/* Starts and resets a device without end: each waits for the loop's thread. */
GUEST_PROGRAM(restart, "mov $0xe0010000, %ebx\n"
                       "mov 0x10(%rbx), %edi\n"
                       "movw $6, 4(%rbx)\n"
                       "1: movb $0, 0x14(%rdi)\n"
                       "movl $1, 8(%rdi)\n"
                       "movl $1, 12(%rdi)\n"
                       "movb $11, 0x14(%rdi)\n"
                       "movb $15, 0x14(%rdi)\n"
                       "jmp 1b\n");

static uint64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Whatever the guest does, and whether the loop runs or not, it ends at once. */
static void test_destroy(void **state)
{
    static const struct guest_program *const programs[] = {&spin, &halt, &flood, &restart};

    (void)state;
    NEEDS_KVM();
    for (size_t i = 0; i < 2 * sizeof(programs) / sizeof(programs[0]); i++) {
        struct run *run = test_calloc(1, sizeof(*run));
        uint64_t from;

        boot(run, programs[i / 2], 2);
        if (i % 2 == 0)
            run_for(run, 150);
        else
            usleep(150000);
        from = now_ms();
        take_apart(run);
        assert_in_range(now_ms() - from, 0, 3000);
        assert_false(run->has_ended);
        test_free(run);
    }
}

static void test_refused(void **state)
{
    struct machine_config config = {
        .name = "test", .kernel = "/dev/null/none", .vcpus = 1, .memory_bytes = 64 << 20};
    struct crosh_error err = {0};
    struct machine_host host = {.ended = on_ended};

    (void)state;
    NEEDS_KVM();
    host.loop = event_loop_new(&err);
    assert_non_null(host.loop);
    assert_null(machine_kvm.create(&config, &host, &err));
    assert_int_equal(err.code, -ENOTDIR);
    config.kernel = "/dev/null";
    assert_null(machine_kvm.create(&config, &host, &err));
    assert_non_null(strstr(err.message, "not a regular file"));
    config.kernel = "/bin/sh";
    assert_null(machine_kvm.create(&config, &host, &err));
    assert_non_null(strstr(err.message, "not a Linux kernel"));
    config.memory_bytes = UINT64_C(1) << 50;
    assert_null(machine_kvm.create(&config, &host, &err));
    assert_int_equal(err.code, -ENOMEM);
    config.memory_bytes = 64 << 20;
    config.vcpus = MACHINE_MAX_VCPUS + 1;
    assert_null(machine_kvm.create(&config, &host, &err));
    assert_int_equal(err.code, -EINVAL);
    event_loop_free(host.loop);
}

/* It must decide, in bounded time, one way or the other. */
static void test_probe(void **state)
{
    struct crosh_error err = {0};
    uint64_t from = now_ms();
    int code;

    (void)state;
    NEEDS_KVM();
    code = machine_kvm.probe(&err);
    assert_in_range(now_ms() - from, 0, 5000);
    if (code != 0) {
        assert_int_equal(code, -EOPNOTSUPP);
        assert_int_equal(err.code, -EOPNOTSUPP);
        assert_true(err.message[0] != '\0');
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_power_off),   cmocka_unit_test(test_clock),
        cmocka_unit_test(test_reset),       cmocka_unit_test(test_crash),
        cmocka_unit_test(test_much_output), cmocka_unit_test(test_input),
        cmocka_unit_test(test_pci),         cmocka_unit_test(test_virtio_with_interrupt),
        cmocka_unit_test(test_abused_bar),  cmocka_unit_test(test_destroy),
        cmocka_unit_test(test_refused),     cmocka_unit_test(test_probe),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/* Saves bare-metal guests in the middle of their work and restores them, on KVM. */
#include "tests/unit/cmocka-prelude.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kvm/snapshot/format.h"
#include "kvm/snapshot/snapshot.h"
#include "tests/kvm/guest-snapshot.h"

/* Counts in a register and in memory, and sends the difference (always 'A') and the count. */
GUEST_PROGRAM(counter, "mov $0x200000, %edi\n"
                       "xor %ebx, %ebx\n"
                       "mov %ebx, (%rdi)\n"
                       "1: inc %ebx\n"
                       "incl (%rdi)\n"
                       "mov (%rdi), %eax\n"
                       "sub %ebx, %eax\n"
                       "add $'A', %eax\n"
                       "mov $0x3f8, %edx\n"
                       "out %al, (%dx)\n"
                       "mov %ebx, %eax\n" GUEST_SEND_EAX "jmp 1b\n");

/* Checks the counter's records from offset on, and tells the last whole one. */
static uint32_t check_counts(const char *bytes, size_t size, uint32_t expected)
{
    for (size_t at = 0; at + 5 <= size; at += 5) {
        uint32_t count;

        assert_int_equal(bytes[at], 'A');
        memcpy(&count, bytes + at + 1, sizeof(count));
        assert_int_equal(count, expected++);
    }
    return expected;
}

static void test_counter_goes_on(void **state)
{
    static struct guest_run run, again;
    static char joined[2 * GUEST_RUN_OUTPUT_MAX];
    struct snapshot snapshot;
    struct guest_place place;
    struct stat st;
    size_t size;

    (void)state;
    guest_place_init(&place, &counter, 1);
    guest_snapshot_run(&run, &place);
    guest_snapshot_take(&run, &place);
    /* 64 MiB, of which the guest has touched next to nothing. */
    assert_int_equal(stat(place.memory, &st), 0);
    assert_int_equal(st.st_size, (64 << 20) + SNAPSHOT_PAGE);
    assert_true(st.st_blocks * 512 < 1 << 20);
    size = run.output_total;
    assert_int_equal(run.output_size, size); /* it all fitted */
    memcpy(joined, run.output, size);

    /* The first one goes on, too. */
    run.output_total = 0;
    machine_kvm.resume(run.machine, MACHINE_PAUSE_SNAPSHOT);
    assert_true(guest_run_until(&run, guest_run_has_output));
    guest_run_free(&run);

    for (int i = 0; i < 2; i++) {
        guest_snapshot_restore(&again, &place, &snapshot);
        guest_run_start(&again);
        assert_true(guest_run_until(&again, guest_run_has_output));
        assert_true(again.output_total == again.output_size);
        memcpy(joined + size, again.output, again.output_size);
        assert_true(check_counts(joined, size + again.output_size, 1) > size / 5 + 1);
        guest_run_free(&again);
    }
    guest_place_fini(&place);
}

/*
 * Sets up the local APIC's timer to fire again and again (vector 0x40) and counts its
 * interrupts: each sends a character. Interrupts, debug registers and TSC survive: the
 * character comes out of one of them, and the counter must not step back.
 */
GUEST_PROGRAM(ticker, "lea handler(%rip), %rax\n"
                      "mov $0x200000, %edi\n"
                      "mov %ax, 0x400(%rdi)\n" /* gate 0x40 of the IDT at 2 MiB */
                      "movw $0x10, 0x402(%rdi)\n"
                      "movw $0x8e00, 0x404(%rdi)\n"
                      "shr $16, %rax\n"
                      "mov %ax, 0x406(%rdi)\n"
                      "movw $0xfff, 0x1000(%rdi)\n"
                      "mov %rdi, 0x1002(%rdi)\n"
                      "lidt 0x1000(%rdi)\n"
                      "mov $0x300000, %esp\n"
                      "mov $'t', %eax\n"
                      "mov %rax, %db3\n"
                      "xor %r15, %r15\n"
                      "mov $0xfee00000, %esi\n"
                      "movl $0x1ff, 0xf0(%rsi)\n"
                      "movl $0xb, 0x3e0(%rsi)\n"     /* divide by 1 */
                      "movl $0x20040, 0x320(%rsi)\n" /* periodic, vector 0x40 */
                      "movl $1000000, 0x380(%rsi)\n" /* 1 ms */
                      "sti\n"
                      "1: hlt\n"
                      "jmp 1b\n"
                      "handler: mov %db3, %rax\n"
                      "mov %eax, %ecx\n"
                      "rdtsc\n"
                      "shl $32, %rdx\n"
                      "or %rdx, %rax\n"
                      "cmp %r15, %rax\n"
                      "ja 2f\n"
                      "mov $'!', %ecx\n"
                      "2: mov %rax, %r15\n"
                      "mov %ecx, %eax\n" GUEST_SEND_AL "movl $0, 0xb0(%rsi)\n"
                      "iretq\n");

static void assert_ticks(const struct guest_run *run)
{
    for (size_t i = 0; i < run->output_size; i++)
        assert_int_equal(run->output[i], 't');
}

static void test_timer_and_registers(void **state)
{
    static struct guest_run run;
    struct snapshot snapshot;
    struct guest_place place;

    (void)state;
    guest_place_init(&place, &ticker, 1);
    guest_snapshot_run(&run, &place);
    for (int i = 0; i < 3; i++) {
        guest_snapshot_take(&run, &place);
        assert_ticks(&run);
        guest_run_free(&run);
        guest_snapshot_restore(&run, &place, &snapshot);
        guest_run_start(&run);
        assert_true(guest_run_until(&run, guest_run_has_output));
        assert_ticks(&run);
    }
    guest_run_free(&run);
    guest_place_fini(&place);
}

/* Waits for a byte that was typed before the snapshot was taken, and the UART's registers. */
GUEST_PROGRAM(listener,
              "mov $0x3ff, %edx\n" /* the scratch register */
              "mov $'s', %al\n"
              "out %al, (%dx)\n" GUEST_SEND(">") "1: pause\n"
                                                 "cmpl $0, 0x200000\n"
                                                 "jne 2f\n"
                                                 "mov $0x3fd, %edx\n"
                                                 "in (%dx), %al\n"
                                                 "test $1, %al\n"
                                                 "jz 1b\n"
                                                 "2: mov $0x3f8, %edx\n"
                                                 "in (%dx), %al\n"
                                                 "out %al, (%dx)\n"
                                                 "mov $0x3ff, %edx\n"
                                                 "in (%dx), %al\n" GUEST_SEND_AL GUEST_POWER_OFF);

static void test_serial_input(void **state)
{
    static struct guest_run run;
    struct snapshot snapshot;
    struct guest_place place;

    (void)state;
    guest_place_init(&place, &listener, 1);
    guest_snapshot_run(&run, &place);
    guest_run_pause(&run, MACHINE_PAUSE_USER);
    machine_kvm.console_input(run.machine, "k", 1);
    guest_snapshot_take(&run, &place);
    guest_run_free(&run);
    guest_snapshot_restore(&run, &place, &snapshot);
    guest_run_start(&run);
    assert_true(guest_run_until(&run, guest_run_has_ended));
    assert_int_equal(run.end, MACHINE_END_POWEROFF);
    assert_int_equal(run.output_size, 2);
    assert_memory_equal(run.output, "ks", 2);
    guest_run_free(&run);
    guest_place_fini(&place);
}

/* Starts the second vcpu, which counts in memory; the first sends when the count has grown. */
GUEST_PROGRAM(two_vcpus, "mov $0x6000, %edi\n"                        /* real mode code at 0x6000 */
                         "movb $0x31, (%rdi)\n movb $0xc0, 1(%rdi)\n" /* xor %ax, %ax */
                         "movb $0x8e, 2(%rdi)\n movb $0xd8, 3(%rdi)\n" /* mov %ax, %ds */
                         "movb $0xff, 4(%rdi)\n movb $0x06, 5(%rdi)\n" /* incw 0x5000 */
                         "movb $0x00, 6(%rdi)\n movb $0x50, 7(%rdi)\n"
                         "movb $0xeb, 8(%rdi)\n movb $0xfa, 9(%rdi)\n" /* jmp to it */
                         "mov $0xfee00000, %esi\n"
                         "movl $0x1ff, 0xf0(%rsi)\n"
                         "movl $0x01000000, 0x310(%rsi)\n"
                         "movl $0x4500, 0x300(%rsi)\n" /* INIT */
                         "movl $0x01000000, 0x310(%rsi)\n"
                         "movl $0x4606, 0x300(%rsi)\n" /* SIPI, page 6 */
                         "mov $0x5000, %edi\n"
                         "mov (%rdi), %bx\n"
                         "1: pause\n"
                         "cmp %bx, (%rdi)\n"
                         "je 1b\n"
                         "mov (%rdi), %bx\n" GUEST_SEND("+") "jmp 1b\n");

static void test_second_vcpu(void **state)
{
    static struct guest_run run;
    struct snapshot snapshot;
    struct guest_place place;

    (void)state;
    guest_place_init(&place, &two_vcpus, 2);
    guest_snapshot_run(&run, &place);
    guest_snapshot_take(&run, &place);
    guest_run_free(&run);
    guest_snapshot_restore(&run, &place, &snapshot);
    guest_run_start(&run);
    run.output_total = 0;
    assert_true(guest_run_until(&run, guest_run_has_output));
    run.output_total = 0;
    assert_true(guest_run_until(&run, guest_run_has_output)); /* still */
    guest_run_free(&run);
    guest_place_fini(&place);
}

/* ---- What is refused ---- */

static void assert_refused(struct guest_place *place, const char *wanted)
{
    struct snapshot snapshot;
    struct crosh_error err = {0};
    char text[256];

    (void)snprintf(text, sizeof(text), "snapshot %s: %s", place->dir, wanted);
    assert_true(snapshot_load(&snapshot, place->dir, &place->config, &err) < 0);
    assert_string_equal(err.message, text);
    assert_null(snapshot.state);
}

static void poke(const char *path, off_t at, uint8_t flip)
{
    int fd = open(path, O_RDWR | O_CLOEXEC);
    uint8_t byte;

    assert_true(fd >= 0);
    assert_int_equal(pread(fd, &byte, 1, at), 1);
    byte ^= flip;
    assert_int_equal(pwrite(fd, &byte, 1, at), 1);
    close(fd);
}

static void test_refused(void **state)
{
    static struct guest_run run;
    struct snapshot snapshot;
    struct crosh_error err = {0};
    struct guest_place place;
    struct stat st;
    struct timespec times[2];
    char text[256];

    (void)state;
    guest_run_need_kvm();
    guest_place_init(&place, &counter, 1);
    guest_place_make_disk(place.disk);
    place.config.disk[0].path = place.disk;
    place.config.disk_count = 1;
    assert_refused(&place, "it has no file state");
    guest_snapshot_run(&run, &place);
    guest_snapshot_take(&run, &place);
    guest_run_free(&run);
    assert_int_equal(snapshot_load(&snapshot, place.dir, &place.config, &err), 0);
    snapshot_unload(&snapshot);

    place.config.vcpus = 2;
    assert_refused(&place, "it is of a VM with 1 vcpus, not 2");
    place.config.vcpus = 1;
    place.config.memory_bytes = 128 << 20;
    assert_refused(&place, "it is of a VM with 64 MiB of memory, not 128");
    place.config.memory_bytes = 64 << 20;
    place.config.disk_count = 0;
    assert_refused(&place, "it is of a VM with 1 disks, not 0");
    place.config.disk_count = 1;
    place.config.disk[0].read_only = true;
    (void)snprintf(text, sizeof(text), "disk %s was writable when it was taken", place.disk);
    assert_refused(&place, text);
    place.config.disk[0].read_only = false;

    assert_int_equal(stat(place.disk, &st), 0);
    times[0] = times[1] = st.st_mtim;
    assert_int_equal(truncate(place.disk, 2 << 20), 0);
    (void)snprintf(text, sizeof(text),
                   "disk %s had 1048576 bytes when it was taken, it has 2097152", place.disk);
    assert_refused(&place, text);
    assert_int_equal(truncate(place.disk, 1 << 20), 0);
    assert_int_equal(utimensat(AT_FDCWD, place.disk, times, 0), 0);
    assert_int_equal(snapshot_load(&snapshot, place.dir, &place.config, &err), 0);
    snapshot_unload(&snapshot);
    times[1].tv_nsec ^= 1024;
    assert_int_equal(utimensat(AT_FDCWD, place.disk, times, 0), 0);
    (void)snprintf(text, sizeof(text), "disk %s was written to since it was taken", place.disk);
    assert_refused(&place, text);
    times[1].tv_nsec ^= 1024;
    assert_int_equal(utimensat(AT_FDCWD, place.disk, times, 0), 0);

    assert_int_equal(stat(place.state, &st), 0);
    poke(place.state, 0, 1);
    assert_refused(&place, "it is no snapshot of a VM");
    poke(place.state, 0, 1);
    poke(place.state, 16, 2);
    assert_refused(&place, "it has format 3, and this crosh-vm reads format 1 only");
    poke(place.state, 16, 2);
    poke(place.state, st.st_size - 1, 0x80);
    assert_refused(&place, "its state is damaged");
    poke(place.state, st.st_size - 1, 0x80);
    poke(place.memory, 64 << 20, 1);
    assert_refused(&place, "its memory is incomplete");
    poke(place.memory, 64 << 20, 1);
    poke(place.memory, (64 << 20) + 20, 1);
    assert_refused(&place, "its memory and its state are of different snapshots");
    poke(place.memory, (64 << 20) + 20, 1);
    assert_int_equal(snapshot_load(&snapshot, place.dir, &place.config, &err), 0);
    snapshot_unload(&snapshot);

    assert_int_equal(truncate(place.memory, 64 << 20), 0);
    assert_refused(&place, "its memory is incomplete");
    assert_int_equal(truncate(place.state, st.st_size - 1), 0);
    assert_refused(&place, "its state is incomplete");
    assert_int_equal(truncate(place.state, 20), 0);
    assert_refused(&place, "it is no snapshot of a VM");
    unlink(place.memory);
    guest_place_fini(&place);
}

/* Another host's CPU: the guest was started with a feature that this one lacks. */
static void test_other_cpu(void **state)
{
    static struct guest_run run;
    struct snapshot snapshot;
    struct machine_host host = {0};
    struct crosh_error err = {0};
    struct guest_place place;
    ProtobufCBinaryData *table;

    (void)state;
    guest_place_init(&place, &counter, 1);
    guest_snapshot_run(&run, &place);
    guest_snapshot_take(&run, &place);
    guest_run_free(&run);
    assert_int_equal(snapshot_load(&snapshot, place.dir, &place.config, &err), 0);
    table = &snapshot.state->x86->vcpus[0]->cpuid;
    for (size_t at = 0; at < table->len; at += sizeof(struct kvm_cpuid_entry2)) {
        struct kvm_cpuid_entry2 entry;

        memcpy(&entry, table->data + at, sizeof(entry));
        if (entry.function == 1)
            entry.ecx |= 1u << 16; /* reserved: no CPU has it */
        memcpy(table->data + at, &entry, sizeof(entry));
    }
    host.loop = event_loop_new(&err);
    place.config.restore = &snapshot;
    assert_null(machine_kvm.create(&place.config, &host, &err));
    assert_int_equal(err.code, -EOPNOTSUPP);
    assert_non_null(strstr(err.message, "this host's CPU lacks features that the guest was "
                                        "started with (CPUID 0x1.0, ecx bits 0x10000)"));
    event_loop_free(host.loop);
    snapshot_unload(&snapshot);
    guest_place_fini(&place);
}

/* Damage that restoring does not see: another byte in a page, a page that is gone, or is new. */
static void test_verified(void **state)
{
    static const uint8_t zeroes[SNAPSHOT_PAGE];
    static struct guest_run run;
    struct crosh_error err = {0};
    struct guest_place place;
    char wanted[160];
    uint8_t byte;
    int fd;

    (void)state;
    guest_place_init(&place, &counter, 1);
    guest_snapshot_run(&run, &place);
    guest_snapshot_take(&run, &place);
    guest_run_free(&run);
    assert_int_equal(snapshot_verify(place.dir, &err), 0);

    /* The counter's page, at 2 MiB. */
    fd = open(place.memory, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(pread(fd, &byte, 1, 0x200000), 1);
    byte ^= 0x10;
    assert_int_equal(pwrite(fd, &byte, 1, 0x200000), 1);
    assert_int_equal(snapshot_verify(place.dir, &err), -EBADMSG);
    (void)snprintf(wanted, sizeof(wanted),
                   "snapshot %s: its memory is damaged, between the bytes 0 and 4194304 of the "
                   "file",
                   place.dir);
    assert_string_equal(err.message, wanted);
    byte ^= 0x10;
    assert_int_equal(pwrite(fd, &byte, 1, 0x200000), 1);
    assert_int_equal(snapshot_verify(place.dir, &err), 0);
    /* Where the guest has nothing. */
    byte = 1;
    assert_int_equal(pwrite(fd, &byte, 1, 40 << 20), 1);
    assert_int_equal(snapshot_verify(place.dir, &err), -EBADMSG);
    assert_non_null(strstr(err.message, "between the bytes 41943040 and 46137344"));
    byte = 0;
    assert_int_equal(pwrite(fd, &byte, 1, 40 << 20), 1);
    assert_int_equal(snapshot_verify(place.dir, &err), 0);
    assert_int_equal(pwrite(fd, zeroes, sizeof(zeroes), 0x200000), (int)sizeof(zeroes));
    assert_int_equal(snapshot_verify(place.dir, &err), -EBADMSG);
    close(fd);
    guest_place_fini(&place);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counter_goes_on), cmocka_unit_test(test_timer_and_registers),
        cmocka_unit_test(test_serial_input),    cmocka_unit_test(test_second_vcpu),
        cmocka_unit_test(test_refused),         cmocka_unit_test(test_other_cpu),
        cmocka_unit_test(test_verified),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

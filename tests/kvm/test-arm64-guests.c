/* SPDX-License-Identifier: MIT */
/* Bare-metal guests on the arm64 machine: how they end, the serial port, addresses of nobody. */
#include "tests/kvm/guest-run.h"

#include "tests/unit/cmocka-prelude.h"

#include <string.h>

/* Runs a program to its end, which is this one, and told by text; frees the run. */
static void expect_end(const struct guest_program *program, unsigned int vcpus,
                       enum machine_end end, const char *output, const char *detail)
{
    static struct guest_run run;

    guest_run_until_end(&run, program, vcpus);
    assert_int_equal(run.output_size, strlen(output));
    assert_memory_equal(run.output, output, strlen(output));
    assert_string_equal(run.detail, detail);
    assert_int_equal(run.end, end);
    guest_run_free(&run);
}

GUEST_PROGRAM(power_off, GUEST_POWER_OFF);
GUEST_PROGRAM(reset, GUEST_PSCI(0x84000009));
/* SYSTEM_RESET2 of the architectural warm kind (x1 is 0), 64-bit convention. */
GUEST_PROGRAM(warm_reset, "mov x1, #0\n" GUEST_PSCI(0xc4000012));

static void test_psci(void **state)
{
    (void)state;
    expect_end(&power_off, 1, MACHINE_END_POWEROFF, "", "the guest powered off (PSCI)");
    expect_end(&reset, 1, MACHINE_END_RESET, "", "the guest rebooted (PSCI)");
    expect_end(&warm_reset, 1, MACHINE_END_CRASH, "",
               "the guest's kernel panicked (PSCI warm reset)");
}

GUEST_PROGRAM(speak, GUEST_SEND("h") GUEST_SEND("i") GUEST_POWER_OFF);

static void test_serial(void **state)
{
    (void)state;
    expect_end(&speak, 1, MACHINE_END_POWEROFF, "hi", "the guest powered off (PSCI)");
}

/* Nobody answers at 0x0e000000: reads are all ones, writes vanish. */
GUEST_PROGRAM(unclaimed, "mov x2, #0x0e000000\n"
                         "str xzr, [x2]\n"
                         "ldr x3, [x2]\n"
                         "adds x3, x3, #1\n"
                         "b.ne 1f\n" GUEST_SEND("1") "1:\n" GUEST_POWER_OFF);

static void test_unclaimed(void **state)
{
    (void)state;
    expect_end(&unclaimed, 1, MACHINE_END_POWEROFF, "1", "the guest powered off (PSCI)");
}

/* The device tree is where x0 says, and begins with its magic number. */
GUEST_PROGRAM(device_tree, "ldr w2, [x0]\n"
                           "mov w3, #0x0dd0\n"
                           "movk w3, #0xedfe, lsl #16\n"
                           "cmp w2, w3\n"
                           "b.ne 1f\n" GUEST_SEND("t") "1:\n" GUEST_POWER_OFF);

static void test_device_tree(void **state)
{
    (void)state;
    expect_end(&device_tree, 1, MACHINE_END_POWEROFF, "t", "the guest powered off (PSCI)");
}

/* The second vcpu sleeps until CPU_ON starts it, with the context that was given. */
GUEST_PROGRAM(second, "mov w0, #0x0003\n"
                      "movk w0, #0xc400, lsl #16\n"
                      "mov x1, #1\n"
                      "adr x2, 1f\n"
                      "mov x3, #'2'\n"
                      "hvc #0\n"
                      "b .\n"
                      "1:\n" GUEST_SEND_W0 GUEST_POWER_OFF);

static void test_second_vcpu(void **state)
{
    (void)state;
    expect_end(&second, 2, MACHINE_END_POWEROFF, "2", "the guest powered off (PSCI)");
}

/* A pair of registers cannot be loaded from a device: KVM gets no syndrome to decode. */
GUEST_PROGRAM(undecodable, "mov x29, #0x1234\n"
                           "mov x2, #0x0e000000\n"
                           "mov x30, #0x5678\n"
                           "ldp x3, x4, [x2]\n"
                           "b .\n");

static void test_crash_report(void **state)
{
    static struct guest_run run;

    (void)state;
    guest_run_until_end(&run, &undecodable, 1);
    assert_int_equal(run.end, MACHINE_END_CRASH);
    assert_non_null(
        strstr(run.detail, "KVM cannot decode an access to 0xe000000 on vcpu 0 (pc 0x4000004c "));
    assert_non_null(strstr(run.detail, " lr 0x5678 "));
    guest_run_free(&run);
}

/* A guest that does nothing but spin is stopped from outside. */
GUEST_PROGRAM(spin, GUEST_SEND("s") "b .\n");

static void test_stop(void **state)
{
    static struct guest_run run;

    (void)state;
    guest_run_until_output(&run, &spin, 2);
    guest_run_free(&run);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_psci),        cmocka_unit_test(test_serial),
        cmocka_unit_test(test_unclaimed),   cmocka_unit_test(test_device_tree),
        cmocka_unit_test(test_second_vcpu), cmocka_unit_test(test_crash_report),
        cmocka_unit_test(test_stop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/* Pauses and resumes machines on KVM, at rest and in the middle of things. */
#include "tests/unit/cmocka-prelude.h"

#include "kvm/machine.h"
#include "tests/kvm/guest-run.h"

/* How long a guest that stands still is looked at: it would write thousands of bytes meanwhile. */
enum { STILL_MS = 50 };

/* Writes 'a' to 'z' over and over. */
GUEST_PROGRAM(alphabet, "mov $0x3f8, %edx\n"
                        "2: mov $'a', %al\n"
                        "1: out %al, (%dx)\n"
                        "inc %al\n"
                        "cmp $'z', %al\n"
                        "jbe 1b\n"
                        "jmp 2b\n");

/* The guest went on exactly where it was: no letter is missing or comes twice. */
static void assert_in_order(const struct guest_run *run)
{
    for (size_t i = 1; i < run->output_size; i++) {
        char before = run->output[i - 1];

        assert_int_equal(run->output[i], before == 'z' ? 'a' : before + 1);
    }
}

static void assert_still(struct guest_run *run)
{
    unsigned long before;

    guest_run_for(run, STILL_MS);
    before = run->output_total;
    guest_run_for(run, STILL_MS);
    assert_int_equal(run->output_total, before);
}

static void assert_goes_on(struct guest_run *run)
{
    run->output_total = 0;
    assert_true(guest_run_until(run, guest_run_has_output));
}

static void test_pause_and_resume(void **state)
{
    static struct guest_run run;

    (void)state;
    guest_run_until_output(&run, &alphabet, 1);
    for (int i = 0; i < 5; i++) {
        guest_run_pause(&run, MACHINE_PAUSE_USER);
        assert_still(&run);
        machine_kvm.resume(run.machine, MACHINE_PAUSE_USER);
        assert_goes_on(&run);
    }
    assert_in_order(&run);
    guest_run_free(&run);
}

static void test_reasons(void **state)
{
    static struct guest_run run;

    (void)state;
    guest_run_until_output(&run, &alphabet, 1);
    guest_run_pause(&run, MACHINE_PAUSE_USER);
    /* A second reason is told of although the machine stands still already. */
    run.paused_calls = 0;
    machine_kvm.pause(run.machine, MACHINE_PAUSE_DISK_FULL);
    machine_kvm.pause(run.machine, MACHINE_PAUSE_DISK_FULL);
    assert_true(guest_run_until(&run, guest_run_is_quiet));
    machine_kvm.resume(run.machine, MACHINE_PAUSE_USER);
    machine_kvm.resume(run.machine, MACHINE_PAUSE_SNAPSHOT); /* was none */
    assert_still(&run);
    machine_kvm.resume(run.machine, MACHINE_PAUSE_DISK_FULL);
    assert_goes_on(&run);
    assert_in_order(&run);
    guest_run_free(&run);
}

/* One that is resumed before it has come to stand still. */
static void test_change_of_mind(void **state)
{
    static struct guest_run run;

    (void)state;
    guest_run_need_kvm();
    guest_run_build(&run, &alphabet, 1);
    guest_run_start(&run);
    for (int i = 0; i < 100; i++) {
        machine_kvm.pause(run.machine, MACHINE_PAUSE_USER);
        machine_kvm.resume(run.machine, MACHINE_PAUSE_USER);
        if (i % 10 == 0)
            guest_run_for(&run, 1);
    }
    assert_goes_on(&run);
    guest_run_pause(&run, MACHINE_PAUSE_USER);
    assert_still(&run);
    machine_kvm.resume(run.machine, MACHINE_PAUSE_USER);
    assert_goes_on(&run);
    assert_in_order(&run);
    guest_run_free(&run);
}

static void test_before_start(void **state)
{
    static struct guest_run run;

    (void)state;
    guest_run_need_kvm();
    guest_run_build(&run, &alphabet, 1);
    machine_kvm.pause(run.machine, MACHINE_PAUSE_USER);
    guest_run_start(&run);
    assert_true(guest_run_until(&run, guest_run_is_quiet));
    assert_still(&run);
    assert_int_equal(run.output_total, 0);
    machine_kvm.resume(run.machine, MACHINE_PAUSE_USER);
    assert_goes_on(&run);
    assert_int_equal(run.output[0], 'a');
    assert_in_order(&run);
    guest_run_free(&run);
}

/* The other vcpus have never been started by the guest: they wait inside KVM. */
static void test_several_vcpus(void **state)
{
    static struct guest_run run;

    (void)state;
    guest_run_until_output(&run, &alphabet, 4);
    guest_run_pause(&run, MACHINE_PAUSE_USER);
    assert_still(&run);
    machine_kvm.resume(run.machine, MACHINE_PAUSE_USER);
    assert_goes_on(&run);
    guest_run_pause(&run, MACHINE_PAUSE_USER);
    guest_run_free(&run); /* paused */
}

GUEST_PROGRAM(sleeper, GUEST_SEND("s") "1: hlt\n jmp 1b\n");
GUEST_PROGRAM(power_off, GUEST_POWER_OFF);

static void test_idle_and_ended(void **state)
{
    static struct guest_run run;

    (void)state;
    guest_run_until_output(&run, &sleeper, 1);
    guest_run_pause(&run, MACHINE_PAUSE_USER);
    machine_kvm.resume(run.machine, MACHINE_PAUSE_USER);
    guest_run_pause(&run, MACHINE_PAUSE_USER);
    guest_run_free(&run);

    guest_run_until_end(&run, &power_off, 1);
    assert_int_equal(run.end, MACHINE_END_POWEROFF);
    machine_kvm.pause(run.machine, MACHINE_PAUSE_USER);
    guest_run_for(&run, 10);
    assert_int_equal(run.paused_calls, 0);
    machine_kvm.resume(run.machine, MACHINE_PAUSE_USER);
    guest_run_free(&run);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pause_and_resume), cmocka_unit_test(test_reasons),
        cmocka_unit_test(test_change_of_mind),   cmocka_unit_test(test_before_start),
        cmocka_unit_test(test_several_vcpus),    cmocka_unit_test(test_idle_and_ended),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/* Tests of when the agent asks the host for the time, and what it makes of the answers. */
#include "tests/unit/cmocka-prelude.h"

#include "guest/agent/clock-sync.h"

static void what_a_sample_leads_to(void **state)
{
    static const struct {
        int64_t offset_us, round_trip_us;
        enum clock_action action;
    } cases[] = {
        {0, 0, CLOCK_KEEP},
        {500, 0, CLOCK_KEEP},
        {-500, 0, CLOCK_KEEP},
        {501, 0, CLOCK_SLEW},
        {-501, 0, CLOCK_SLEW},
        /* Of an offset that is no more than half of the round trip, not even the sign is sure. */
        {10000, 20000, CLOCK_KEEP},
        {-10000, 20000, CLOCK_KEEP},
        {10001, 20000, CLOCK_SLEW},
        {CLOCK_STEP_US, 0, CLOCK_SLEW},
        {CLOCK_STEP_US + 1, 0, CLOCK_STEP},
        {-CLOCK_STEP_US - 1, 0, CLOCK_STEP},
        {CLOCK_STEP_US + 1000, 2000, CLOCK_SLEW},
        {CLOCK_STEP_US + 1001, 2000, CLOCK_STEP},
        {INT64_C(3600000000), 100000, CLOCK_STEP},
        {INT64_C(-3600000000), 100000, CLOCK_STEP},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        const struct clock_sample sample = {.offset_us = cases[i].offset_us,
                                            .round_trip_us = cases[i].round_trip_us};

        assert_int_equal(clock_judge(&sample), cases[i].action);
    }
}

/* Four questions; the answer with the shortest way counts. */
static void a_round_of_questions(void **state)
{
    static const struct {
        int64_t round_trip_us, offset_us;
        bool is_over;
    } answers[] = {{9000, 5000, false}, {1000, 2000, false}, {4000, -100, false}, {1500, 1, true}};
    struct clock_sync sync = {.cookie = 7};
    struct clock_sample sample = {0};
    int64_t now_ms = 1000;

    (void)state;
    clock_sync_init(&sync);
    for (size_t i = 0; i < 4; i++) {
        int64_t asked_us = now_ms * 1000;
        int64_t way_us = answers[i].round_trip_us / 2;
        int64_t our_us = 50000000 + answers[i].round_trip_us;
        uint64_t cookie;

        assert_int_equal(clock_sync_wait(&sync, now_ms), 0);
        cookie = clock_sync_ask(&sync, now_ms, asked_us);
        assert_int_equal(cookie, 8 + i);
        /* While it waits for the answer, nothing is due. */
        assert_true(clock_sync_wait(&sync, now_ms) > 0);
        assert_false(clock_sync_answer(&sync, cookie - 1, 1, now_ms, asked_us, 1, &sample));
        assert_int_equal(
            clock_sync_answer(&sync, cookie, (uint64_t)(our_us - way_us + answers[i].offset_us),
                              now_ms, asked_us + answers[i].round_trip_us, our_us, &sample),
            answers[i].is_over);
        assert_false(clock_sync_answer(&sync, cookie, 1, now_ms, asked_us, 1, &sample));
    }
    assert_int_equal(sample.offset_us, 2000);
    assert_int_equal(sample.round_trip_us, 1000);
    assert_int_equal(clock_sync_wait(&sync, now_ms), 60000);
    assert_int_equal(clock_sync_wait(&sync, now_ms + 60000), 0);
}

static void after_a_step_it_is_asked_again_soon(void **state)
{
    struct clock_sync sync = {.cookie = 0};
    struct clock_sample sample = {0};

    (void)state;
    clock_sync_init(&sync);
    for (uint64_t i = 1; i <= 4; i++) {
        assert_int_equal(clock_sync_ask(&sync, 10, 10000), i);
        (void)clock_sync_answer(&sync, i, 90000000, 10, 10000, 5000000, &sample);
    }
    assert_int_equal(clock_judge(&sample), CLOCK_STEP);
    assert_int_equal(clock_sync_wait(&sync, 10), 5000);
}

static void a_host_that_does_not_answer_is_left_alone(void **state)
{
    struct clock_sync sync = {.cookie = 0};
    struct clock_sample sample;

    (void)state;
    clock_sync_init(&sync);
    assert_int_equal(clock_sync_ask(&sync, 0, 0), 1);
    assert_int_equal(clock_sync_wait(&sync, 0), 5000);
    assert_int_equal(clock_sync_ask(&sync, 5000, 5000000), 0);
    assert_int_equal(clock_sync_wait(&sync, 5000), 60000);
    /* Its answer is too late. */
    assert_false(clock_sync_answer(&sync, 1, 1, 5001, 5001000, 1, &sample));
    assert_int_equal(clock_sync_ask(&sync, 65000, 65000000), 2);
}

static void times_that_make_no_sense_are_no_answers(void **state)
{
    struct clock_sync sync = {.cookie = 0};
    struct clock_sample sample;

    (void)state;
    clock_sync_init(&sync);
    assert_int_equal(clock_sync_ask(&sync, 0, 0), 1);
    assert_false(clock_sync_answer(&sync, 1, UINT64_MAX, 1, 1000, 1, &sample));
    assert_false(sync.has_best);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_sample_leads_to),
        cmocka_unit_test(a_round_of_questions),
        cmocka_unit_test(after_a_step_it_is_asked_again_soon),
        cmocka_unit_test(a_host_that_does_not_answer_is_left_alone),
        cmocka_unit_test(times_that_make_no_sense_are_no_answers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/* Tests reading of sizes. */
#include "tests/unit/cmocka-prelude.h"

#include <errno.h>

#include "lib/base/size.h"

static void reads_what_people_write(void **state)
{
    static const struct {
        const char *text;
        uint64_t bytes;
    } good[] = {
        {"0", 0},
        {"4096", 4096},
        {"512M", 512ull << 20},
        {"512m", 512ull << 20},
        {"20G", 20ull << 30},
        {"1.5G", 3ull << 29},
        {"2KiB", 2048},
        {"2KB", 2048},
        {"7b", 7},
        {"3T", 3ull << 40},
        {"2PiB", 2ull << 50},
        {"0.5k", 512},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        uint64_t bytes = 1;

        assert_int_equal(size_parse(good[i].text, &bytes), 0);
        assert_int_equal(bytes, good[i].bytes);
    }
}

static void refuses_what_is_no_size(void **state)
{
    static const char *const bad[] = {"",    "G",   "-1",  "+1",  "1X",   "1.M", ".5G",
                                      "1.5", " 1G", "1 G", "1GG", "0x10", "1e3", "8191E"};

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        uint64_t bytes;

        assert_int_equal(size_parse(bad[i], &bytes), -EINVAL);
    }
}

static void refuses_what_does_not_fit(void **state)
{
    uint64_t bytes;

    (void)state;
    assert_int_equal(size_parse("9223372036854775807", &bytes), 0);
    assert_int_equal(bytes, INT64_MAX);
    assert_int_equal(size_parse("9223372036854775808", &bytes), -ERANGE);
    assert_int_equal(size_parse("99999999999999999999", &bytes), -ERANGE);
    assert_int_equal(size_parse("8388608T", &bytes), -ERANGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_what_people_write),
        cmocka_unit_test(refuses_what_is_no_size),
        cmocka_unit_test(refuses_what_does_not_fit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

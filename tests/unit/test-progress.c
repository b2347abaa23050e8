/* SPDX-License-Identifier: MIT */
/* The lines of progress, and cutting text to a terminal's width. */
#include "tests/unit/cmocka-prelude.h"

#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <crosh/progress.h>

#include "lib/command/context.h"
#include "lib/command/progress.h"
#include "lib/command/text.h"

static void test_line(void **state)
{
    struct progress_state work = {.title = "importing",
                                  .unit = "B",
                                  .done = 50 << 20,
                                  .total = 200 << 20,
                                  .elapsed_ms = 5000};
    char buf[256];

    (void)state;
    assert_string_equal(crosh_priv_progress_line(&work, 200, buf, sizeof(buf)),
                        "importing  [#####---------------]  25%  50.0 MiB of 200 MiB  10.0 MiB/s  "
                        "15 s left");
    assert_string_equal(crosh_priv_progress_line(&work, 70, buf, sizeof(buf)),
                        "importing  25%  50.0 MiB of 200 MiB  10.0 MiB/s  15 s left");
    assert_string_equal(crosh_priv_progress_line(&work, 20, buf, sizeof(buf)),
                        "importing  25%  ...");
    work =
        (struct progress_state){.title = "copying", .unit = "files", .done = 7, .elapsed_ms = 100};
    assert_string_equal(crosh_priv_progress_line(&work, 80, buf, sizeof(buf)), "copying  7 files");
}

static void test_summary(void **state)
{
    struct progress_state work = {
        .title = "importing", .unit = "B", .done = 300 << 20, .elapsed_ms = 75000};
    char buf[256];

    (void)state;
    assert_string_equal(crosh_priv_progress_summary(&work, buf, sizeof(buf)),
                        "importing: 300 MiB in 1 min 15 s (4.0 MiB/s)");
}

/* What a pipe gets: nothing until the end, and then one plain line. */
static void test_no_terminal(void **state)
{
    FILE *err = tmpfile();
    struct crosh_context ctx = {.err = err};
    struct crosh_progress *progress;
    char line[128] = "";

    (void)state;
    assert_non_null(err);
    progress = crosh_progress_new(&ctx, "copying", "files", 3);
    crosh_progress_update(progress, 3);
    assert_int_equal(ftell(err), 0);
    crosh_progress_finish(progress, 1);
    rewind(err);
    assert_non_null(fgets(line, sizeof(line), err));
    assert_string_equal(line, "copying: 3 files in 0.0 s\n");
    (void)fclose(err);
}

static void test_cut(void **state)
{
    static const struct {
        const char *text;
        size_t columns;
        const char *result;
    } cases[] = {
        {"short", 5, "short"},
        {"a longer text", 10, "a longe..."},
        {"a longer text", 4, "a lo"},
        {"\u6771\u4eac\u6771\u4eac\u6771\u4eac", 10, "\u6771\u4eac\u6771..."},
        {"e\u0301e\u0301e\u0301e\u0301e\u0301e\u0301e\u0301e\u0301e\u0301", 8,
         "e\u0301e\u0301e\u0301e\u0301e\u0301..."},
        {"\U0001F600\U0001F600\U0001F600\U0001F600\U0001F600", 9,
         "\U0001F600\U0001F600\U0001F600..."},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[64];

        (void)snprintf(text, sizeof(text), "%s", cases[i].text);
        crosh_priv_text_cut(text, cases[i].columns);
        assert_string_equal(text, cases[i].result);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_line),
        cmocka_unit_test(test_summary),
        cmocka_unit_test(test_no_terminal),
        cmocka_unit_test(test_cut),
    };

    (void)setlocale(LC_ALL, "C.UTF-8");
    return cmocka_run_group_tests(tests, NULL, NULL);
}

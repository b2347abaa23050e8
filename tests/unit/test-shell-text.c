/* SPDX-License-Identifier: MIT */
/* Tests display widths, quoting, wrapping, tables, suggestions and completion of lines. */
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crosh/complete-line.h"
#include "lib/command/context.h"
#include "lib/command/suggest.h"
#include "lib/command/text.h"
#include "tests/unit/cmocka-prelude.h"

static void test_width(void **state)
{
    (void)state;
    assert_int_equal(crosh_priv_text_width("abc"), 3);
    assert_int_equal(crosh_priv_text_width("Zürich"), 6);
    assert_int_equal(crosh_priv_text_width("東京"), 4);
    assert_int_equal(crosh_priv_text_width("e\xcc\x81"), 1); /* combining accent */
    assert_int_equal(crosh_priv_text_width("\xff\xfe"), 2);
}

static void test_quote(void **state)
{
    char buf[16];

    (void)state;
    assert_string_equal(crosh_priv_text_quote("a b", buf, sizeof(buf)), "\"a b\"");
    assert_string_equal(crosh_priv_text_quote("\n\xff", buf, sizeof(buf)), "\"\\x0a\\xff\"");
    assert_string_equal(crosh_priv_text_quote("東", buf, sizeof(buf)), "\"東\"");
    assert_string_equal(crosh_priv_text_quote("0123456789abcdef", buf, sizeof(buf)),
                        "\"0123456789...\"");
    assert_string_equal(crosh_priv_text_quote("012345678東京", buf, sizeof(buf)),
                        "\"012345678...\"");
}

static void test_wrap(void **state)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    (void)state;
    assert_non_null(out);
    (void)fputs("  ", out);
    crosh_priv_text_wrap(out, "one two three\n\nfour  東京 five", 2, 4, 12);
    (void)fclose(out);
    assert_string_equal(text, "  one two\n    three\n\n    four\n    東京\n    five\n");
    free(text);
}

static void test_table(void **state)
{
    struct crosh_context ctx = {0};
    struct crosh_table *table;
    char *text = NULL;
    size_t size = 0;

    (void)state;
    ctx.out = fopen("/dev/null", "w");
    assert_non_null(ctx.out);
    table = crosh_table_new((const char *const[]){"NAME", "X", "LAST", NULL});
    crosh_table_row(table, (const char *const[]){"東京", "1", "a\tb"});
    crosh_table_row(table, (const char *const[]){"n", NULL, NULL});
    (void)fclose(ctx.out);
    ctx.out = tmpfile();
    crosh_table_print(table, &ctx);
    rewind(ctx.out);
    assert_true(getdelim(&text, &size, '\0', ctx.out) > 0);
    assert_string_equal(text, "NAME  X  LAST\n東京  1  a?b\nn\n");
    (void)fclose(ctx.out);
    free(text);
    crosh_table_free(table);
    crosh_table_free(NULL);
    crosh_table_row(NULL, NULL);
}

static const char *suggest(const char *word)
{
    static const char *const candidates[] = {"start", "stop", "status", "list", "destroy", "vmc"};
    struct suggestion suggestion;

    crosh_priv_suggestion_init(&suggestion, word);
    for (size_t i = 0; i < sizeof(candidates) / sizeof(candidates[0]); i++)
        crosh_priv_suggestion_consider(&suggestion, candidates[i]);
    return suggestion.best;
}

static void test_suggestion(void **state)
{
    (void)state;
    assert_string_equal(suggest("strat"), "start");
    assert_string_equal(suggest("lst"), "list");
    assert_string_equal(suggest("detsroy"), "destroy");
    assert_string_equal(suggest("dest"), "destroy");
    assert_string_equal(suggest("vcm"), "vmc");
    assert_null(suggest("x"));
    assert_null(suggest(""));
    assert_null(suggest("penguin"));
}

static const char *quoted(const char *text, enum quote quote, bool is_whole)
{
    static char buf[256];
    char *heap = completion_quote(text, quote, is_whole);

    assert_non_null(heap);
    (void)snprintf(buf, sizeof(buf), "%s", heap);
    free(heap);
    return buf;
}

static void test_completion_quote(void **state)
{
    (void)state;
    assert_string_equal(quoted("plain-1.2", QUOTE_NONE, true), "plain-1.2 ");
    assert_string_equal(quoted("a b$", QUOTE_NONE, false), "a\\ b\\$");
    assert_string_equal(quoted("a b'c", QUOTE_SINGLE, true), "'a b'\\''c' ");
    assert_string_equal(quoted("a b$\"", QUOTE_DOUBLE, false), "\"a b\\$\\\"");
    assert_string_equal(quoted("--size=", QUOTE_NONE, false), "--size=");
    assert_string_equal(quoted("a~b~", QUOTE_NONE, true), "a~b~ ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_width),      cmocka_unit_test(test_quote),
        cmocka_unit_test(test_wrap),       cmocka_unit_test(test_table),
        cmocka_unit_test(test_suggestion), cmocka_unit_test(test_completion_quote),
    };

    if (setlocale(LC_ALL, "C.UTF-8") == NULL)
        return 77;
    return cmocka_run_group_tests(tests, NULL, NULL);
}

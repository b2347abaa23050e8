/* SPDX-License-Identifier: MIT */
/* Tests where prompt and line stand on the terminal, and the collection of notices. */
#include <fcntl.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "crosh/edit-layout.h"
#include "crosh/notices.h"
#include "tests/unit/cmocka-prelude.h"

static void check_place(const char *prompt, const char *line, size_t columns, size_t row,
                        size_t column)
{
    struct edit_place place = edit_place_of(prompt, line, strlen(line), columns);

    assert_int_equal(place.row, row);
    assert_int_equal(place.column, column);
}

static void test_place(void **state)
{
    (void)state;
    check_place("> ", "", 80, 0, 2);
    check_place("> ", "abc", 80, 0, 5);
    check_place("ä> ", "Zürich", 80, 0, 9);
    /* What takes no room, a line break, a tab, a control character. */
    check_place("\001\033[31m\002> \001\033[0m\002", "abc", 80, 0, 5);
    check_place("> ", "abc\nde", 80, 1, 2);
    check_place("> ", "a\tb", 80, 0, 9);
    check_place("> ", "\x01", 80, 0, 4);
    check_place("> ", "\xff", 80, 0, 3);
}

static void test_place_at_the_edge(void **state)
{
    (void)state;
    check_place("> ", "1234567", 10, 0, 9);
    check_place("> ", "12345678", 10, 1, 0);
    check_place("> ", "123456789", 10, 1, 1);
    /* A wide character does not begin in the last column. */
    check_place("> ", "123456東", 10, 1, 0);
    check_place("> ", "1234567東", 10, 1, 2);
    /* An accent stays with its letter. */
    check_place("> ", "123456e\xcc\x81", 10, 0, 9);
}

static void test_fit(void **state)
{
    size_t used;

    (void)state;
    assert_int_equal(edit_fit("abc", 5, &used), 3);
    assert_int_equal(used, 3);
    assert_int_equal(edit_fit("abc", 2, &used), 2);
    assert_int_equal(used, 2);
    assert_int_equal(edit_fit("a東京", 4, &used), 4);
    assert_int_equal(used, 3);
    assert_int_equal(edit_fit("東", 1, &used), 0);
    assert_int_equal(used, 0);
}

static void test_notices_without_shell(void **state)
{
    (void)state;
    notices_post(NULL, "nobody listens");
    assert_null(notices_take(NULL));
    assert_int_equal(notices_fd(NULL), -1);
    assert_int_equal(notices_watch(NULL, 0, NULL, NULL), 0);
    notices_unwatch(NULL, 0);
    notices_free(NULL);
}

static void test_notices_text(void **state)
{
    struct notices *notices = notices_new();
    char *text;

    (void)state;
    assert_non_null(notices);
    assert_null(notices_take(notices));
    notices_post(notices, "one %d", 1);
    notices_post(notices, "%s", "two\033[2J ü");
    text = notices_take(notices);
    assert_string_equal(text, "one 1\ntwo?[2J ü\n");
    free(text);
    assert_null(notices_take(notices));
    notices_free(notices);
}

/* A source: a pipe that has something to read. */
struct source {
    struct notices *notices;
    int fds[2];
    unsigned int calls;
    int reads; /* whether it takes what is there */
    struct source *other;
};

static void on_ready(void *data)
{
    struct source *source = data;
    char byte;

    source->calls++;
    notices_post(source->notices, "ready");
    if (source->reads)
        assert_int_equal(read(source->fds[0], &byte, 1), 1);
    if (source->other != NULL)
        notices_unwatch(source->notices, source->other->fds[0]);
}

static void source_init(struct source *source, struct notices *notices)
{
    memset(source, 0, sizeof(*source));
    source->notices = notices;
    source->reads = 1;
    assert_int_equal(pipe2(source->fds, O_CLOEXEC), 0);
    assert_int_equal(write(source->fds[1], "x", 1), 1);
    assert_int_equal(notices_watch(notices, source->fds[0], on_ready, source), 0);
}

static void source_fini(struct source *source)
{
    notices_unwatch(source->notices, source->fds[0]);
    (void)close(source->fds[0]);
    (void)close(source->fds[1]);
}

static void test_notices_sources(void **state)
{
    struct notices *notices = notices_new();
    struct source first, second;
    char *text;

    (void)state;
    source_init(&first, notices);
    text = notices_take(notices);
    assert_string_equal(text, "ready\n");
    free(text);
    assert_int_equal(first.calls, 1);
    assert_null(notices_take(notices));
    /* One takes the other away while both are ready. */
    assert_int_equal(write(first.fds[1], "x", 1), 1);
    source_init(&second, notices);
    first.other = &second;
    second.other = &first;
    free(notices_take(notices));
    assert_int_equal(first.calls + second.calls, 2);
    source_fini(&first);
    source_fini(&second);
    notices_free(notices);
}

static void test_notices_endless_source(void **state)
{
    struct notices *notices = notices_new();
    struct source source;
    char *text;

    (void)state;
    source_init(&source, notices);
    source.reads = 0;
    text = notices_take(notices);
    assert_non_null(text);
    assert_in_range(source.calls, 1, 1000);
    free(text);
    source_fini(&source);
    notices_free(notices);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_place),
        cmocka_unit_test(test_place_at_the_edge),
        cmocka_unit_test(test_fit),
        cmocka_unit_test(test_notices_without_shell),
        cmocka_unit_test(test_notices_text),
        cmocka_unit_test(test_notices_sources),
        cmocka_unit_test(test_notices_endless_source),
    };

    if (setlocale(LC_CTYPE, "C.UTF-8") == NULL)
        return 77;
    return cmocka_run_group_tests(tests, NULL, NULL);
}

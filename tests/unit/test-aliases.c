/* SPDX-License-Identifier: MIT */
/* Tests aliases: their names and texts, and the commands that they become. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crosh/aliases.h"
#include "crosh/script/parser.h"
#include "tests/unit/cmocka-prelude.h"

static void put_words(FILE *out, const struct word *words, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < words[i].count; j++)
            (void)fputs(words[i].parts[j].text, out);
        (void)fputc(i + 1 < count ? ' ' : '.', out);
    }
}

/* Assignments and words of each command, and the number of its redirections; as in sh between. */
static char *render(const struct list *list)
{
    static const char *const connectors[] = {" ; ", " && ", " || "};
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    assert_non_null(out);
    for (size_t i = 0; i < list->count; i++) {
        const struct pipeline *pipeline = &list->entries[i].pipeline;

        if (i > 0)
            (void)fputs(connectors[list->entries[i].connector], out);
        for (size_t j = 0; j < pipeline->count; j++) {
            const struct simple_command *command = &pipeline->commands[j];

            (void)fputs(j > 0 ? " | " : "", out);
            put_words(out, command->assignments, command->assignment_count);
            put_words(out, command->words, command->word_count);
            if (command->redirect_count > 0)
                (void)fprintf(out, ">%zu", command->redirect_count);
        }
    }
    (void)fclose(out);
    return text;
}

/* What the text becomes when each of its entries is expanded in turn. */
static void assert_becomes(const struct aliases *aliases, const char *text, const char *expected)
{
    struct crosh_error err = {0};
    struct list list;
    unsigned int line = 5;
    size_t count;
    char *rendered;

    assert_int_equal(script_parse(text, &line, &list, &err), 0);
    for (size_t i = 0; i < list.count; i += count) {
        assert_int_equal(aliases_expand(aliases, &list, i, &count, &err), 0);
        assert_int_equal(list.entries[i].pipeline.commands[0].line, 5);
    }
    rendered = render(&list);
    assert_string_equal(rendered, expected);
    free(rendered);
    list_clear(&list);
}

static void define(struct aliases *aliases, const char *name, const char *text)
{
    struct crosh_error err = {0};

    if (aliases_set(aliases, name, text, &err) != 0)
        fail_msg("%s: %s", name, err.message);
}

static void test_lookup(void **state)
{
    struct aliases aliases = {0};

    (void)state;
    assert_null(alias_lookup(&aliases, "b"));
    define(&aliases, "b", "two");
    define(&aliases, "a", "one");
    define(&aliases, "c", "three");
    define(&aliases, "b", "four");
    assert_int_equal(aliases.count, 3);
    assert_string_equal(aliases.items[0].name, "a");
    assert_string_equal(alias_lookup(&aliases, "b"), "four");
    assert_true(aliases_remove(&aliases, "a"));
    assert_false(aliases_remove(&aliases, "a"));
    assert_null(alias_lookup(&aliases, "a"));
    assert_string_equal(alias_lookup(&aliases, "c"), "three");
    aliases_clear(&aliases);
    assert_null(alias_lookup(&aliases, "c"));
}

static void test_surroundings(void **state)
{
    struct aliases aliases = {0};

    (void)state;
    define(&aliases, "one", "echo x");
    define(&aliases, "two", "echo 1; echo 2 >f | sort");
    define(&aliases, "set", "A=1 B=2");
    define(&aliases, "or", "true || false");
    assert_becomes(&aliases, "one", "echo x.");
    assert_becomes(&aliases, "one y >g z | cat", "echo x y z.>1 | cat.");
    assert_becomes(&aliases, "two -r >g 2>&1 | head", "echo 1. ; echo 2.>1 | sort -r.>2 | head.");
    assert_becomes(&aliases, "C=3 one y", "C=3.echo x y.");
    assert_becomes(&aliases, "C=3 set one y", "C=3 A=1 B=2.echo x y.");
    assert_becomes(&aliases, "a && or b && c", "a. && true. || false b. && c.");
    assert_becomes(&aliases, "one; one", "echo x. ; echo x.");
    /* Only the command's own word, and only when nothing in it is quoted. */
    assert_becomes(&aliases, "echo one", "echo one.");
    assert_becomes(&aliases, "x | one", "x. | one.");
    assert_becomes(&aliases, "'one' ; \\one ; $one ; \"one\"", "one. ; one. ; one. ; one.");
    aliases_clear(&aliases);
}

static void test_recursion(void **state)
{
    struct aliases aliases = {0};
    struct crosh_error err = {0};
    struct list list;
    unsigned int line = 1;
    size_t count;

    (void)state;
    define(&aliases, "echo", "echo -n");
    define(&aliases, "a", "b 1; c");
    define(&aliases, "b", "a 2");
    define(&aliases, "c", "echo 3");
    assert_becomes(&aliases, "echo x", "echo -n x.");
    assert_becomes(&aliases, "a x", "a 2 1. ; echo -n 3 x.");
    define(&aliases, "d0", "d1;d1;d1;d1;d1;d1;d1;d1;d1;d1;d1");
    define(&aliases, "d1", "d2;d2;d2;d2;d2;d2;d2;d2;d2;d2;d2");
    define(&aliases, "d2", "x;x;x;x;x;x;x;x;x;x;x");
    assert_int_equal(script_parse("d0; y", &line, &list, NULL), 0);
    assert_int_equal(aliases_expand(&aliases, &list, 0, &count, &err), CROSH_EUSAGE);
    assert_string_equal(err.message, "the alias stands for more than 1000 commands");
    assert_int_equal(list.count, 2);
    list_clear(&list);
    aliases_clear(&aliases);
}

static void assert_refused(const char *name, const char *text, const char *message)
{
    struct aliases aliases = {0};
    struct crosh_error err = {0};

    assert_int_equal(aliases_set(&aliases, name, text, &err), CROSH_EUSAGE);
    assert_string_equal(err.message, message);
    assert_int_equal(aliases.count, 0);
    aliases_clear(&aliases);
}

static void test_refusals(void **state)
{
    char longer[4098];

    (void)state;
    assert_refused("", "x", "\"\" cannot be an alias's name");
    assert_refused("-a", "x", "\"-a\" cannot be an alias's name");
    assert_refused("a/b", "x", "\"a/b\" cannot be an alias's name");
    assert_refused("a", "", "a: it must stand for a command");
    assert_refused("a", "# x", "a: it must stand for a command");
    assert_refused("a", "b 'c", "a: a single quote is never closed");
    assert_refused("a", "b; ;", "a: a command is missing before \";\"");
    assert_refused("a", "b & c", "a: \"&\" cannot be in an alias");
    memset(longer, 'x', sizeof(longer) - 1);
    longer[sizeof(longer) - 1] = '\0';
    assert_refused("a", longer, "a: the text is longer than 4096 bytes");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lookup),
        cmocka_unit_test(test_surroundings),
        cmocka_unit_test(test_recursion),
        cmocka_unit_test(test_refusals),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/* Tests the command language: lexer, parser and expansion. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crosh/script/expand.h"
#include "crosh/script/parser.h"
#include "tests/unit/cmocka-prelude.h"

static void put_word(FILE *out, const struct word *word)
{
    for (size_t i = 0; i < word->count; i++)
        (void)fprintf(out, word->parts[i].kind == PART_VARIABLE ? "{%s}" : "%s",
                      word->parts[i].text);
    if (word->is_quoted)
        (void)fputc('q', out);
}

/* The tree in one line: [word][word]>[file], "|" between commands, ";", "&&", "||" before chains.
 */
static char *render(const struct list *list)
{
    static const char *const connectors[] = {";", "&&", "||"};
    static const char *const redirects[] = {"<", ">", ">>"};
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

            (void)fputs(j > 0 ? "|" : "", out);
            for (size_t k = 0; k < command->word_count; k++) {
                (void)fputc('[', out);
                put_word(out, &command->words[k]);
                (void)fputc(']', out);
            }
            for (size_t k = 0; k < command->redirect_count; k++) {
                (void)fprintf(out, "%s[", redirects[command->redirects[k].kind]);
                put_word(out, &command->redirects[k].target);
                (void)fputc(']', out);
            }
        }
    }
    (void)fclose(out);
    return text;
}

static void assert_tree(const char *text, const char *expected)
{
    struct crosh_error err = {0};
    struct list list;
    unsigned int line = 1;
    char *tree;

    if (script_parse(text, &line, &list, &err) != 0)
        fail_msg("%s: %s", text, err.message);
    tree = render(&list);
    assert_string_equal(tree, expected);
    free(tree);
    list_clear(&list);
}

static void assert_fault(const char *text, int code, unsigned int at_line, const char *message)
{
    struct crosh_error err = {0};
    struct list list;
    unsigned int line = 1;

    assert_int_equal(script_parse(text, &line, &list, &err), code);
    assert_string_equal(err.message, message);
    assert_int_equal(line, at_line);
    assert_int_equal(list.count, 0);
}

static void test_words(void **state)
{
    (void)state;
    assert_tree("", "");
    assert_tree("  \t\n\n # only a comment\n", "");
    assert_tree("vmc start  termina", "[vmc][start][termina]");
    assert_tree("a # b c", "[a]");
    assert_tree("a#b c", "[a#b][c]");
    assert_tree("a\\\n  b", "[a][b]");
    assert_tree("a\r\nb\r\n", "[a];[b]");
    assert_tree("h\xc3\xa4llo", "[h\xc3\xa4llo]");
}

static void test_quotes(void **state)
{
    (void)state;
    assert_tree("'a  b' \"c  d\"", "[a  bq][c  dq]");
    assert_tree("'' \"\"", "[q][q]");
    assert_tree("a'b'\"c\"\\d", "[abcdq]");
    assert_tree("'$HOME \\n' \"\\$x \\\\ \\n \\\"\"", "[$HOME \\nq][$x \\ \\n \"q]");
    assert_tree("\"two\nlines\" x", "[two\nlinesq][x]");
    assert_tree("\"joined\\\nline\"", "[joinedlineq]");
    assert_tree("a\\ b \\; \\# \\$x", "[a b][;][#][$x]");
}

static void test_variables(void **state)
{
    (void)state;
    assert_tree("$HOME ${HOME} $?", "[{HOME}][{HOME}][{?}]");
    assert_tree("a${B}c \"$B\"d", "[a{B}c][{B}dq]");
    assert_tree("$ a$ $1 \"$\"", "[$][a$][$1][$q]");
    assert_tree("$A_1-x", "[{A_1}-x]");
}

static void test_operators(void **state)
{
    (void)state;
    assert_tree("a;b;", "[a];[b]");
    assert_tree("a && b || c; d", "[a]&&[b]||[c];[d]");
    assert_tree("a &&\n\n b |\n c", "[a]&&[b]|[c]");
    assert_tree("a|b|c", "[a]|[b]|[c]");
    assert_tree("a >f b <g >>h", "[a][b]>[f]<[g]>>[h]");
    assert_tree("a>f", "[a]>[f]");
}

static void test_faults(void **state)
{
    (void)state;
    assert_fault("a\n;b", CROSH_EUSAGE, 2, "a command is missing before \";\"");
    assert_fault("a ;; b", CROSH_EUSAGE, 1, "a command is missing before \";\"");
    assert_fault("a && || b", CROSH_EUSAGE, 1, "a command is missing before \"||\"");
    assert_fault("| b", CROSH_EUSAGE, 1, "a command is missing before \"|\"");
    assert_fault("a >", CROSH_EUSAGE, 1, "a file name must follow \">\"");
    assert_fault("a > | b", CROSH_EUSAGE, 1, "a file name must follow \">\"");
    assert_fault(">f", CROSH_EUSAGE, 1, "a command is missing before the end");
    assert_fault("a\nb & c", CROSH_EUSAGE, 2, "background commands (\"&\") are not supported");
    assert_fault("a <<b", CROSH_EUSAGE, 1, "\"<<\" is not supported");
    assert_fault("${A", CROSH_EUSAGE, 1, "\"${\" without its \"}\"");
    assert_fault("${}", CROSH_EUSAGE, 1, "\"${...}\" must hold a variable's name");
    assert_fault("a `b`", CROSH_EUSAGE, 1,
                 "command substitution is not supported: quote the \"`\"");
}

static void test_incomplete(void **state)
{
    (void)state;
    assert_fault("a 'b\nc", SCRIPT_INCOMPLETE, 1, "a single quote is never closed");
    assert_fault("x\na \"b", SCRIPT_INCOMPLETE, 2, "a double quote is never closed");
    assert_fault("a \\", SCRIPT_INCOMPLETE, 1, "nothing follows the backslash");
    assert_fault("a &&\n", SCRIPT_INCOMPLETE, 2, "a command must follow \"&&\"");
    assert_fault("a |", SCRIPT_INCOMPLETE, 1, "a command must follow \"|\"");
}

static void test_lines(void **state)
{
    struct list list;
    unsigned int line = 10;

    (void)state;
    assert_int_equal(script_parse("a\n\nb 'x\ny'\nc", &line, &list, NULL), 0);
    assert_int_equal(list.count, 3);
    assert_int_equal(list.entries[0].pipeline.commands[0].line, 10);
    assert_int_equal(list.entries[1].pipeline.commands[0].line, 12);
    assert_int_equal(list.entries[2].pipeline.commands[0].line, 14);
    list_clear(&list);
}

static void assert_expanded(const char *text, const char *const *expected)
{
    struct list list;
    unsigned int line = 1;
    char **words;
    size_t i;

    assert_int_equal(script_parse(text, &line, &list, NULL), 0);
    words = expand_words(list.entries[0].pipeline.commands[0].words,
                         list.entries[0].pipeline.commands[0].word_count, 7);
    assert_non_null(words);
    for (i = 0; expected[i] != NULL; i++) {
        assert_non_null(words[i]);
        assert_string_equal(words[i], expected[i]);
    }
    assert_null(words[i]);
    expanded_free(words);
    list_clear(&list);
}

static void test_expansion(void **state)
{
    (void)state;
    assert_int_equal(setenv("CROSH_TEST_A", "two words", 1), 0);
    assert_int_equal(unsetenv("CROSH_TEST_B"), 0);
    assert_expanded("x $CROSH_TEST_A y", (const char *const[]){"x", "two words", "y", NULL});
    assert_expanded("x-${CROSH_TEST_A}-$?", (const char *const[]){"x-two words-7", NULL});
    assert_expanded("x $CROSH_TEST_B y", (const char *const[]){"x", "y", NULL});
    assert_expanded("x \"$CROSH_TEST_B\" ''", (const char *const[]){"x", "", "", NULL});
    assert_expanded("'$CROSH_TEST_A'", (const char *const[]){"$CROSH_TEST_A", NULL});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words),     cmocka_unit_test(test_quotes),
        cmocka_unit_test(test_variables), cmocka_unit_test(test_operators),
        cmocka_unit_test(test_faults),    cmocka_unit_test(test_incomplete),
        cmocka_unit_test(test_lines),     cmocka_unit_test(test_expansion),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

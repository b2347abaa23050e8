/* SPDX-License-Identifier: MIT */
/* Tests the command language: lexer, parser and expansion. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "crosh/script/expand.h"
#include "crosh/script/parser.h"
#include "tests/unit/cmocka-prelude.h"

/* Variables in braces, with what comes after their operation. */
static void put_word(FILE *out, const struct word *word)
{
    for (size_t i = 0; i < word->count; i++) {
        const struct part *part = &word->parts[i];

        if (part->kind == PART_LITERAL) {
            (void)fputs(part->text, out);
            continue;
        }
        (void)fprintf(out, "{%s", part->text);
        if (part->operation != '\0') {
            (void)fprintf(out, "%s%c", part->empty_is_unset ? ":" : "", part->operation);
            put_word(out, part->other);
        }
        (void)fputc('}', out);
    }
    if (word->is_quoted)
        (void)fputc('q', out);
}

static void put_redirect(FILE *out, const struct redirect *redirect)
{
    static const char *const signs[] = {"<", ">", ">>", ">&"};

    (void)fprintf(out, "%d%s", redirect->fd, signs[redirect->kind]);
    if (redirect->kind == REDIRECT_SAME) {
        (void)fprintf(out, "%d", redirect->same_as);
        return;
    }
    (void)fputc('[', out);
    put_word(out, &redirect->target);
    (void)fputc(']', out);
}

static void put_command(FILE *out, const struct simple_command *command)
{
    for (size_t i = 0; i < command->assignment_count; i++) {
        (void)fputs("set(", out);
        put_word(out, &command->assignments[i]);
        (void)fputc(')', out);
    }
    for (size_t i = 0; i < command->word_count; i++) {
        (void)fputc('[', out);
        put_word(out, &command->words[i]);
        (void)fputc(']', out);
    }
    for (size_t i = 0; i < command->redirect_count; i++)
        put_redirect(out, &command->redirects[i]);
}

/*
 * The tree in one line: set(A=1)[word][word]1>[file], "|" between commands, ";",
 * "&&", "||" before chains, and in front of a background chain its text: &<text>.
 */
static char *render(const struct list *list)
{
    static const char *const connectors[] = {";", "&&", "||"};
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    assert_non_null(out);
    for (size_t i = 0; i < list->count; i++) {
        const struct list_entry *entry = &list->entries[i];

        if (i > 0)
            (void)fputs(connectors[entry->connector], out);
        if (entry->is_background)
            (void)fprintf(out, "&<%s>", entry->text);
        for (size_t j = 0; j < entry->pipeline.count; j++) {
            (void)fputs(j > 0 ? "|" : "", out);
            put_command(out, &entry->pipeline.commands[j]);
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
}

static void test_redirects(void **state)
{
    (void)state;
    assert_tree("a >f b <g >>h", "[a][b]1>[f]0<[g]1>>[h]");
    assert_tree("a>f", "[a]1>[f]");
    assert_tree("a 2>f 1>>g 0<h 2>>'i j'", "[a]2>[f]1>>[g]0<[h]2>>[i jq]");
    assert_tree("a >f 2>&1|b >&2", "[a]1>[f]2>&1|[b]1>&2");
    assert_tree(">f a", "[a]1>[f]");
    /* Only digits right before the sign, and nothing else in their word, are a descriptor. */
    assert_tree("a 2 >f", "[a][2]1>[f]");
    assert_tree("a b2>f", "[a][b2]1>[f]");
    assert_tree("a '2'>f", "[a][2q]1>[f]");
    assert_fault("a 3>f", CROSH_EUSAGE, 1, "only 0< 1> and 2> can be redirected");
    assert_fault("a 12>f", CROSH_EUSAGE, 1, "only 0< 1> and 2> can be redirected");
    assert_fault("a 2<f", CROSH_EUSAGE, 1, "only 0< 1> and 2> can be redirected");
    assert_fault("a 2>&3", CROSH_EUSAGE, 1, "\">&\" must be followed by 1 or 2");
    assert_fault("a 2>&1x", CROSH_EUSAGE, 1, "\">&1\" must be a word's end");
    assert_fault("a &>f", CROSH_EUSAGE, 1, "\"&>\" is not supported: write \">FILE 2>&1\"");
    assert_fault("a <&0", CROSH_EUSAGE, 1, "\"<&\" is not supported");
}

static void test_operations(void **state)
{
    char deep[40 * 5 + 40 + 1] = "";

    (void)state;
    assert_tree("${A:-b} ${A-b} ${A:+b} ${A+b}", "[{A:-b}][{A-b}][{A:+b}][{A+b}]");
    assert_tree("x${A:-}y", "[x{A:-}y]");
    assert_tree("${A:-b c;d|e}", "[{A:-b c;d|e}]");
    assert_tree("${A:-'b}'\"$C\"\\}d}", "[{A:-b}{C}}dq}]");
    assert_tree("\"${A:-b 'c' \\} \"$D\"}\"", "[{A:-b 'c' } {D}q}q]");
    assert_tree("${A:-${B:-${C}}}", "[{A:-{B:-{C}}}]");
    assert_tree("$$ ${$} ${?}", "[{$}][{$}][{?}]");
    assert_fault("${A", CROSH_EUSAGE, 1, "\"${\" without its \"}\"");
    assert_fault("x\n${A:-b", CROSH_EUSAGE, 2, "\"${\" without its \"}\"");
    assert_fault("${A:=b}", CROSH_EUSAGE, 1,
                 "\"${NAME\" goes on with \"}\", \":-\", \"-\", \":+\" or \"+\" only");
    for (int i = 0; i < 40; i++)
        (void)strcat(deep, "${A:-");
    assert_fault(deep, CROSH_EUSAGE, 1, "more than 32 \"${\" in each other");
}

static void test_assignments(void **state)
{
    (void)state;
    assert_tree("A=1", "set(A=1)");
    assert_tree("A=1 B='2 3' c D=4", "set(A=1)set(B=2 3q)[c][D=4]");
    assert_tree("A= b", "set(A=)[b]");
    assert_tree("a | B=1 c", "[a]|set(B=1)[c]");
    assert_tree("'A'=1 1A=1 =1 \\A=1", "[A=1q][1A=1][=1][A=1]");
    assert_tree("A=1;B=2", "set(A=1);set(B=2)");
    assert_fault("A=1 | b", CROSH_EUSAGE, 1, "a command is missing before \"|\"");
    assert_fault("a | B=1", CROSH_EUSAGE, 1, "a command is missing before the end");
    assert_fault("A=1 >f", CROSH_EUSAGE, 1, "a command is missing before the end");
}

static void test_home(void **state)
{
    (void)state;
    assert_tree("~ ~/a a~ a/~ ~b '~' \\~ \"~/\"", "[{~}][{~}/a][a~][a/~][~b][~q][~][~/q]");
    assert_tree("A=~/b c=~ A~=~", "set(A={~}/b)set(c={~})[A~=~]");
    assert_tree("a >~/f", "[a]1>[{~}/f]");
}

static void test_background(void **state)
{
    (void)state;
    assert_tree("a b &", "&<a b>[a][b]");
    assert_tree("a & b", "&<a>[a];[b]");
    assert_tree("a;b  && c | d&\ne", "[a];&<b  && c | d>[b]&&[c]|[d];[e]");
    assert_fault("& a", CROSH_EUSAGE, 1, "a command is missing before \"&\"");
    assert_fault("a\nb && & c", CROSH_EUSAGE, 2, "a command is missing before \"&\"");
    assert_fault("a & ; b", CROSH_EUSAGE, 1, "a command is missing before \";\"");
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
    assert_fault("a (b)", CROSH_EUSAGE, 1, "\"(\" is not supported: quote it");
    assert_fault("a\nb)", CROSH_EUSAGE, 2, "\")\" is not supported: quote it");
    assert_fault("a <<b", CROSH_EUSAGE, 1, "\"<<\" is not supported");
    assert_fault("${}", CROSH_EUSAGE, 1, "\"${...}\" must hold a variable's name");
    assert_fault("a `b`", CROSH_EUSAGE, 1,
                 "command substitution is not supported: quote the \"`\"");
    assert_fault("a\n\"x `b`\"", CROSH_EUSAGE, 2,
                 "command substitution is not supported: quote the \"`\"");
    assert_fault("a $(b)", CROSH_EUSAGE, 1,
                 "command substitution is not supported: quote the \"$\"");
}

static void test_incomplete(void **state)
{
    (void)state;
    assert_fault("a 'b\nc", SCRIPT_INCOMPLETE, 1, "a single quote is never closed");
    assert_fault("x\na \"b", SCRIPT_INCOMPLETE, 2, "a double quote is never closed");
    assert_fault("a \\", SCRIPT_INCOMPLETE, 1, "nothing follows the backslash");
    assert_fault("a\nb \\\n", SCRIPT_INCOMPLETE, 2, "nothing follows the backslash");
    assert_fault("a\\\n", SCRIPT_INCOMPLETE, 1, "nothing follows the backslash");
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
    char pid[32];

    (void)state;
    assert_int_equal(setenv("CROSH_TEST_A", "two words", 1), 0);
    assert_int_equal(unsetenv("CROSH_TEST_B"), 0);
    assert_expanded("x $CROSH_TEST_A y", (const char *const[]){"x", "two words", "y", NULL});
    assert_expanded("x-${CROSH_TEST_A}-$?", (const char *const[]){"x-two words-7", NULL});
    assert_expanded("x $CROSH_TEST_B y", (const char *const[]){"x", "y", NULL});
    assert_expanded("x \"$CROSH_TEST_B\" ''", (const char *const[]){"x", "", "", NULL});
    assert_expanded("x${CROSH_TEST_B:-d e}", (const char *const[]){"xd e", NULL});
    assert_expanded("${CROSH_TEST_A:-d} ${CROSH_TEST_A:+d}",
                    (const char *const[]){"two words", "d", NULL});
    assert_expanded("x ${CROSH_TEST_B:+d} y ${CROSH_TEST_B-$CROSH_TEST_A}",
                    (const char *const[]){"x", "y", "two words", NULL});
    assert_expanded("x ${CROSH_TEST_B:-''} ${CROSH_TEST_B:-}",
                    (const char *const[]){"x", "", NULL});
    assert_int_equal(setenv("CROSH_TEST_B", "", 1), 0);
    assert_expanded("1${CROSH_TEST_B:-d} 2${CROSH_TEST_B-d} 3${CROSH_TEST_B:+d} 4${CROSH_TEST_B+d}",
                    (const char *const[]){"1d", "2", "3", "4d", NULL});
    assert_int_equal(setenv("HOME", "/h m", 1), 0);
    assert_expanded("~/x '~/x'", (const char *const[]){"/h m/x", "~/x", NULL});
    (void)snprintf(pid, sizeof(pid), "%ld", (long)getpid());
    assert_expanded("$$", (const char *const[]){pid, NULL});
    assert_expanded("'$CROSH_TEST_A'", (const char *const[]){"$CROSH_TEST_A", NULL});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words),       cmocka_unit_test(test_quotes),
        cmocka_unit_test(test_variables),   cmocka_unit_test(test_operations),
        cmocka_unit_test(test_operators),   cmocka_unit_test(test_redirects),
        cmocka_unit_test(test_assignments), cmocka_unit_test(test_home),
        cmocka_unit_test(test_background),  cmocka_unit_test(test_faults),
        cmocka_unit_test(test_incomplete),  cmocka_unit_test(test_lines),
        cmocka_unit_test(test_expansion),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

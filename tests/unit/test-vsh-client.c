/* SPDX-License-Identifier: MIT */
/* Tests of the vsh client's parts that need no guest: escapes and text from the guest. */
#include "tests/unit/cmocka-prelude.h"

#include <errno.h>
#include <string.h>

#include "modules/vsh/vsh-terminal.h"
#include "lib/base/sanitize.h"

/* Types text in pieces of size step; what passes is gathered, escapes shown as [END], [HELP]. */
static void type_with(int escape, const char *text, size_t step, const char *expected)
{
    struct vsh_escape_state state = {.character = escape, .is_line_start = true};
    char seen[256] = "";
    size_t length = strlen(text);

    for (size_t i = 0; i < length;) {
        size_t piece = length - i < step ? length - i : step;
        uint8_t out[260];
        size_t taken = 0;
        size_t count = 0;
        enum vsh_escape found =
            vsh_escape_filter(&state, (const uint8_t *)text + i, piece, &taken, out, &count);

        assert_true(taken > 0 && taken <= piece);
        assert_true(count <= taken + 1);
        strncat(seen, (const char *)out, count);
        if (found == VSH_ESCAPE_END)
            strcat(seen, "[END]");
        if (found == VSH_ESCAPE_HELP)
            strcat(seen, "[HELP]");
        i += taken;
    }
    assert_string_equal(seen, expected);
}

static void escapes_are_seen_after_newlines_only(void **state)
{
    static const struct {
        const char *typed;
        const char *expected;
    } cases[] = {
        {"ls\r", "ls\r"},
        {"~.", "[END]"},
        {"a~.", "a~."},
        {"a\r~.", "a\r[END]"},
        {"a\n~.", "a\n[END]"},
        {"~~.", "~."},
        {"~~~.", "~~."},
        {"~x", "~x"},
        {"~x~.", "~x~."},
        {"~?ls\r", "[HELP]ls\r"},
        {"~?~.", "[HELP][END]"},
        {"~\r~.", "~\r[END]"},
        {"cd ~\r~.", "cd ~\r[END]"},
        {"~", ""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        for (size_t step = 1; step < 5; step++)
            type_with('~', cases[i].typed, step, cases[i].expected);
    }
    type_with('%', "~.\r%.", 2, "~.\r[END]");
    type_with('%', "%%%.", 2, "%%.");
    type_with(2, "\002?\002\002", 1, "[HELP]\002");
    type_with(VSH_ESCAPE_OFF, "~.\r~?\r\377.", 3, "~.\r~?\r\377.");
}

static void escape_characters_are_chosen(void **state)
{
    static const struct {
        const char *text;
        int result;
        int character;
    } cases[] = {
        {"~", 0, '~'},    {"%", 0, '%'},      {"^", 0, '^'},      {"^B", 0, 2},
        {"^b", 0, 2},     {"^]", 0, 0x1d},    {"^@", 0, 0},       {"none", 0, VSH_ESCAPE_OFF},
        {"", -EINVAL, 0}, {"ab", -EINVAL, 0}, {"^1", -EINVAL, 0}, {"\xe9", -EINVAL, 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        int character = 0;

        assert_int_equal(vsh_escape_parse(cases[i].text, &character), cases[i].result);
        assert_int_equal(character, cases[i].character);
    }
}

static void text_from_the_guest_is_harmless(void **state)
{
    static const struct {
        const char *text;
        const char *expected;
    } cases[] = {
        {"no such user 'x'", "no such user 'x'"},
        {"\033[2J\033]0;title\a", "?[2J?]0;title?"},
        {"a\r\nb\tc\177d", "a??b?c?d"},
        {"gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80", "gr\xc3\xbc\xc3\x9f \xe2\x82\xac "
                                                             "\xf0\x9f\x98\x80"},
        {"\xc2\x9b"
         "31m",
         "??31m"}, /* the C1 form of ESC [ */
        {"\x9b"
         "31m",
         "?31m"},
        {"\xc0\x9b", "??"},           /* overlong */
        {"\xe0\x82\x9b", "???"},      /* overlong */
        {"\xed\xa0\x80", "???"},      /* surrogate */
        {"\xf4\x90\x80\x80", "????"}, /* beyond Unicode */
        {"cut \xe2\x82", "cut ??"},
        {"", ""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        char out[64];

        text_sanitize(out, sizeof(out), cases[i].text);
        assert_string_equal(out, cases[i].expected);
    }
}

static void text_is_cut_between_characters(void **state)
{
    char out[6];

    (void)state;
    text_sanitize(out, sizeof(out), "abcdefgh");
    assert_string_equal(out, "abcde");
    text_sanitize(out, sizeof(out), "abc\xe2\x82\xac");
    assert_string_equal(out, "abc");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(escapes_are_seen_after_newlines_only),
        cmocka_unit_test(escape_characters_are_chosen),
        cmocka_unit_test(text_from_the_guest_is_harmless),
        cmocka_unit_test(text_is_cut_between_characters),
    };

    return cmocka_run_group_tests_name("vsh-client", tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/* Tests the filter that a guest's words pass, and texts for people. */
#include "tests/unit/cmocka-prelude.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "modules/vmc/text.h"

/* The filtered text, fed chunk bytes at a time; valid until the next call. */
static const char *filtered(const char *text, size_t size, size_t chunk)
{
    static char *out;
    struct text_filter filter = {0};
    size_t out_size;
    size_t i;
    FILE *file;

    free(out);
    file = open_memstream(&out, &out_size);
    for (i = 0; i < size; i += chunk)
        text_filter_write(&filter, text + i, chunk < size - i ? chunk : size - i, file);
    fclose(file);
    return out;
}

static void the_filter_lets_text_through_only(void **state)
{
    static const struct {
        const char *in, *out;
    } cases[] = {
        {"plain\ttext\n", "plain\ttext\n"},
        {"line\r\nnext\r", "line\nnext"},
        {"\033[31mred\033[0m", "red"},
        {"\033[2J\033[1;1Hx", "x"},
        {"\033]0;title\007x", "x"},
        {"\033]0;title\033\\x", "x"},
        {"\033]0;never ends\nnext line", "\nnext line"},
        {"\033Pq#0\033\\x", "x"},
        {"\033(Bx", "x"},
        {"\033cx", "x"},
        {"a\b\bb\007\177", "ab"},
        {"gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f"},
        {"\xe2\x82\xac \xf0\x9f\x98\x80", "\xe2\x82\xac \xf0\x9f\x98\x80"},
        {"\xc2\x9b"
         "31mx",
         "31mx"}, /* CSI as one character of C1 */
        {"\x9b"
         "31mx",
         "31mx"},                   /* and as a bare byte */
        {"\xc0\xafx", "x"},         /* overlong */
        {"\xe0\x80\xafx", "x"},     /* overlong */
        {"\xed\xa0\x80x", "x"},     /* surrogate */
        {"\xf4\x90\x80\x80x", "x"}, /* beyond Unicode */
        {"\xe2\x82x", "x"},         /* cut short */
        {"\xe2\033[31mx", "x"},     /* cut short by an escape */
    };
    size_t i;
    size_t chunk;

    (void)state;
    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        for (chunk = 1; chunk < 12; chunk++)
            assert_string_equal(filtered(cases[i].in, strlen(cases[i].in), chunk), cases[i].out);
    }
    assert_string_equal(filtered("a\0b", 3, 3), "ab");
}

static char panic[32];

static const char *tail(const char *text, int lines, int *count)
{
    static char *out;
    char dir[] = "/tmp/test-text.XXXXXX";
    size_t out_size;
    FILE *file;
    int dir_fd;
    int fd;

    assert_non_null(mkdtemp(dir));
    dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    fd = openat(dir_fd, "log", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
    free(out);
    file = open_memstream(&out, &out_size);
    *count = text_print_tail(file, dir_fd, "log", lines, "| ");
    assert_int_equal(text_print_tail(file, dir_fd, "absent", lines, "| "), 0);
    panic[0] = '\0';
    (void)text_find_panic(dir_fd, "log", panic, sizeof(panic));
    fclose(file);
    unlinkat(dir_fd, "log", 0);
    close(dir_fd);
    rmdir(dir);
    return out;
}

static void the_tail_is_the_last_lines(void **state)
{
    int count;

    (void)state;
    assert_string_equal(tail("1\n2\n3\n", 2, &count), "| 2\n| 3\n");
    assert_int_equal(count, 2);
    assert_string_equal(tail("1\n2\n3", 2, &count), "| 2\n| 3\n");
    assert_string_equal(tail("1\n\n \r\n2\n\n", 2, &count), "| 1\n| 2\n");
    assert_string_equal(tail("only", 5, &count), "| only\n");
    assert_int_equal(count, 1);
    assert_string_equal(tail("\033[31mred\n", 5, &count), "| red\n");
    assert_string_equal(tail("", 5, &count), "");
    assert_int_equal(count, 0);
    assert_string_equal(tail("\n\n\n", 5, &count), "");
    assert_int_equal(count, 0);
}

static void a_panic_is_found(void **state)
{
    int count;

    (void)state;
    assert_string_equal(
        tail("1\n2\n3\n4\n[5] Kernel panic - not syncing: no \033[31minit\n6\n7\n8\n", 2, &count),
        "| [5] Kernel panic - not syncing: no init\n| 6\n");
    assert_string_equal(panic, "no init");
    assert_string_equal(
        tail("1\n2\nKernel panic - not syncing: a\n3\nKernel panic - not syncing: b\n4\n5\n6\n7\n",
             4, &count),
        "| 3\n| Kernel panic - not syncing: b\n| 4\n| 5\n");
    assert_string_equal(panic, "b");
    /* One that the last lines show anyway changes nothing; one cut short is still one. */
    assert_string_equal(tail("1\n2\nKernel panic - not syncing: ", 2, &count),
                        "| 2\n| Kernel panic - not syncing: \n");
    assert_string_equal(panic, "");
    (void)tail("Kernel panic - not syncing: a reason that is much too long for the space", 1,
               &count);
    assert_int_equal(strlen(panic), sizeof(panic) - 1);
    (void)tail("no panic\n", 1, &count);
    assert_string_equal(panic, "");
}

static void sizes_and_durations(void **state)
{
    char text[32];

    (void)state;
    assert_string_equal(text_size(UINT64_C(512) << 20, text, sizeof(text)), "512M");
    assert_string_equal(text_size(UINT64_C(2) << 30, text, sizeof(text)), "2G");
    assert_string_equal(text_size(UINT64_C(1536) << 20, text, sizeof(text)), "1536M");
    assert_string_equal(text_size((UINT64_C(47) << 30) / 2, text, sizeof(text)), "23.5G");
    assert_string_equal(text_duration(0, text, sizeof(text)), "0 s");
    assert_string_equal(text_duration(59, text, sizeof(text)), "59 s");
    assert_string_equal(text_duration(3599, text, sizeof(text)), "59 min");
    assert_string_equal(text_duration(7500, text, sizeof(text)), "2 h 5 min");
    assert_string_equal(text_duration(349200, text, sizeof(text)), "4 d 1 h");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_filter_lets_text_through_only),
        cmocka_unit_test(the_tail_is_the_last_lines),
        cmocka_unit_test(a_panic_is_found),
        cmocka_unit_test(sizes_and_durations),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

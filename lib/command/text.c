/* SPDX-License-Identifier: MIT */
/* Measures, quotes and wraps text in the locale's encoding. */
#include "lib/command/text.h"

#include <stdbool.h>
#include <string.h>
#include <wchar.h>
#include <wctype.h>

/* Decodes one character: its length in bytes and width in columns; false: show one byte as odd. */
static bool next_char(const char *text, mbstate_t *state, size_t *length, size_t *width)
{
    wchar_t wide;
    size_t n = mbrtowc(&wide, text, strlen(text), state);
    int columns;

    if (n == 0 || n == (size_t)-1 || n == (size_t)-2) {
        memset(state, 0, sizeof(*state));
        *length = *width = 1;
        return false;
    }
    columns = wcwidth(wide);
    *length = n;
    *width = columns < 0 ? 1 : (size_t)columns;
    return columns >= 0;
}

size_t crosh_priv_text_width(const char *text)
{
    mbstate_t state = {0};
    size_t total = 0, length, width;

    for (; *text != '\0'; text += length) {
        (void)next_char(text, &state, &length, &width);
        total += width;
    }
    return total;
}

void crosh_priv_text_cut(char *text, size_t columns)
{
    static const char dots[] = "...";
    mbstate_t state = {0};
    size_t total = 0, end = 0, length, width;
    size_t room = columns > 2 * strlen(dots) ? columns - strlen(dots) : columns;

    if (crosh_priv_text_width(text) <= columns)
        return;
    for (char *p = text; *p != '\0'; p += length) {
        (void)next_char(p, &state, &length, &width);
        total += width;
        /* What has no width belongs to the character before it. */
        if (total > room)
            break;
        end = (size_t)(p - text) + length;
    }
    text[end] = '\0';
    /* As many bytes or more stood there: dots are as wide as they are long, and characters that
     * are wider than that take more bytes than columns. */
    if (room < columns)
        memcpy(text + end, dots, sizeof(dots));
}

const char *crosh_priv_text_quote(const char *text, char *buf, size_t size)
{
    static const char cut[] = "...\"";
    mbstate_t state = {0};
    size_t used = 0, length, width;

    if (size < sizeof(cut) + 1) {
        if (size > 0)
            buf[0] = '\0';
        return buf;
    }
    buf[used++] = '"';
    for (; *text != '\0'; text += length) {
        char piece[16];
        size_t piece_length;

        if (next_char(text, &state, &length, &width) && length < sizeof(piece)) {
            memcpy(piece, text, length);
            piece_length = length;
        } else {
            piece_length = (size_t)snprintf(piece, sizeof(piece), "\\x%02x",
                                            (unsigned int)(unsigned char)*text);
            length = 1;
            memset(&state, 0, sizeof(state));
        }
        if (used + piece_length + sizeof(cut) > size) {
            memcpy(buf + used, cut, sizeof(cut));
            return buf;
        }
        memcpy(buf + used, piece, piece_length);
        used += piece_length;
    }
    buf[used++] = '"';
    buf[used] = '\0';
    return buf;
}

void crosh_priv_text_print(FILE *out, const char *text)
{
    mbstate_t state = {0};
    size_t length, width;

    for (; *text != '\0'; text += length) {
        if (next_char(text, &state, &length, &width))
            (void)fwrite(text, 1, length, out);
        else
            (void)fputc('?', out);
    }
}

static void put_spaces(FILE *out, size_t count)
{
    (void)fprintf(out, "%*s", (int)count, "");
}

void crosh_priv_text_wrap(FILE *out, const char *text, size_t first, size_t indent, size_t width)
{
    size_t column = first;
    bool at_start = false; /* of a line that has no indent yet */

    while (*text != '\0') {
        size_t length = strcspn(text, " \n");
        char word[512];
        size_t columns;

        if (*text == '\n') {
            (void)fputc('\n', out);
            at_start = true;
            text++;
            continue;
        }
        if (length == 0) {
            text++;
            continue;
        }
        if (length >= sizeof(word))
            length = sizeof(word) - 1;
        memcpy(word, text, length);
        word[length] = '\0';
        columns = crosh_priv_text_width(word);
        if (!at_start && column > indent && column + 1 + columns > width) {
            (void)fputc('\n', out);
            at_start = true;
        }
        if (at_start) {
            put_spaces(out, indent);
            column = indent;
            at_start = false;
        } else if (column > indent || column > first) {
            (void)fputc(' ', out);
            column++;
        }
        (void)fputs(word, out);
        column += columns;
        text += length;
    }
    if (!at_start)
        (void)fputc('\n', out);
}

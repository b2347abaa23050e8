/* SPDX-License-Identifier: MIT */
/* Computes where characters stand on a terminal that wraps at its last column. */
#include "crosh/edit-layout.h"

#include <stdbool.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

#define TAB_COLUMNS 8

static struct winsize terminal_size(void)
{
    struct winsize size = {0};

    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0)
        memset(&size, 0, sizeof(size));
    return size;
}

size_t edit_columns(void)
{
    struct winsize size = terminal_size();

    return size.ws_col > 0 ? size.ws_col : 80;
}

size_t edit_rows(void)
{
    struct winsize size = terminal_size();

    return size.ws_row > 0 ? size.ws_row : 24;
}

/* The character's length in bytes; *width in columns, of a control character as "^X". */
static size_t next_char(const char *text, size_t length, mbstate_t *state, size_t *width)
{
    wchar_t wide;
    size_t n = mbrtowc(&wide, text, length, state);
    int columns;

    if (n == 0 || n == (size_t)-1 || n == (size_t)-2) {
        memset(state, 0, sizeof(*state));
        *width = 1;
        return 1;
    }
    columns = wcwidth(wide);
    *width = columns < 0 ? 2 : (size_t)columns;
    return n;
}

static void put(struct edit_place *place, size_t width, size_t columns)
{
    /* A wide character does not begin in the last column. */
    if (place->column + width > columns) {
        place->row++;
        place->column = 0;
    }
    place->column += width;
    if (place->column >= columns) {
        place->row++;
        place->column = 0;
    }
}

/* Marks, of which only prompts have some, enclose what takes no room. */
static void put_text(struct edit_place *place, const char *text, size_t length, size_t columns,
                     bool has_marks)
{
    mbstate_t state = {0};
    bool is_hidden = false;

    for (size_t i = 0, n; i < length; i += n) {
        size_t width;

        n = next_char(text + i, length - i, &state, &width);
        if (has_marks && (text[i] == '\001' || text[i] == '\002')) {
            is_hidden = text[i] == '\001';
        } else if (text[i] == '\n') {
            place->row++;
            place->column = 0;
        } else if (text[i] == '\t') {
            put(place, TAB_COLUMNS - place->column % TAB_COLUMNS, columns);
        } else if (!is_hidden) {
            put(place, width, columns);
        }
    }
}

struct edit_place edit_place_of(const char *prompt, const char *line, size_t length, size_t columns)
{
    struct edit_place place = {0};

    put_text(&place, prompt, strlen(prompt), columns, true);
    put_text(&place, line, length, columns, false);
    return place;
}

size_t edit_fit(const char *text, size_t width, size_t *used)
{
    size_t length = strlen(text), at = 0;
    mbstate_t state = {0};

    *used = 0;
    while (at < length) {
        size_t columns;
        size_t n = next_char(text + at, length - at, &state, &columns);

        if (*used + columns > width)
            break;
        *used += columns;
        at += n;
    }
    return at;
}

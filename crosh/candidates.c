/* SPDX-License-Identifier: MIT */
/* Completes the line at TAB and lists candidates so that they fit the terminal. */
#include "crosh/candidates.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crosh/complete-line.h"
#include "crosh/edit-layout.h"
#include "crosh/edit.h"
#include "lib/base/cleanup.h"
#include "lib/command/text.h"

/* Rows of the terminal that a list leaves free: for the line itself, and what came before. */
#define FREE_ROWS 4

static void print_padded(FILE *out, const char *text, size_t width)
{
    size_t own = crosh_priv_text_width(text);

    crosh_priv_text_print(out, text);
    (void)fprintf(out, "%*s", (int)(own < width ? width - own : 0), "");
}

/* The part of a path that tells candidates apart: after the last "/" of what was typed. */
static const char *shown_text(const struct crosh_matches *matches, const struct match *match)
{
    const char *slash = strrchr(matches->prefix, '/');

    return slash != NULL ? match->text + (slash - matches->prefix) + 1 : match->text;
}

/* One candidate a line, with its description cut to the terminal. */
static void list_described(FILE *out, const struct crosh_matches *matches, size_t shown,
                           size_t widest)
{
    size_t room = edit_columns();

    room = room > widest + 5 ? room - widest - 5 : 0;
    for (size_t i = 0; i < shown; i++) {
        const struct match *match = &matches->items[i];
        char description[256];
        size_t length;

        (void)snprintf(description, sizeof(description), "%s",
                       match->description != NULL ? match->description : "");
        length = strlen(description);
        while (length > 0 && crosh_priv_text_width(description) > room) {
            do
                length--;
            while (length > 0 && ((unsigned char)description[length] & 0xc0) == 0x80);
            description[length] = '\0';
        }
        (void)fputs("  ", out);
        if (length == 0) {
            crosh_priv_text_print(out, shown_text(matches, match));
        } else {
            print_padded(out, shown_text(matches, match), widest + 2);
            crosh_priv_text_print(out, description);
        }
        (void)fputc('\n', out);
    }
}

static void list_columns(FILE *out, const struct crosh_matches *matches, size_t shown,
                         size_t widest)
{
    size_t columns = edit_columns() / (widest + 2);
    size_t rows;

    columns = columns == 0 ? 1 : columns;
    rows = (shown + columns - 1) / columns;
    for (size_t row = 0; row < rows; row++) {
        for (size_t i = row; i < shown; i += rows) {
            const char *text = shown_text(matches, &matches->items[i]);

            if (i + rows < shown)
                print_padded(out, text, widest + 2);
            else
                crosh_priv_text_print(out, text);
        }
        (void)fputc('\n', out);
    }
}

static void show_candidates(const struct crosh_matches *matches)
{
    size_t rows = edit_rows() > 2 * FREE_ROWS ? edit_rows() - FREE_ROWS : FREE_ROWS;
    size_t shown = matches->count;
    cleanup_free char *text = NULL;
    size_t size = 0, widest = 0;
    bool has_descriptions = false;
    FILE *out = open_memstream(&text, &size);

    if (out == NULL)
        return;
    for (size_t i = 0; i < matches->count; i++) {
        size_t width = crosh_priv_text_width(shown_text(matches, &matches->items[i]));

        widest = width > widest ? width : widest;
        has_descriptions = has_descriptions || matches->items[i].description != NULL;
    }
    /* Where descriptions would fill the screen, names alone tell more. */
    if (has_descriptions && matches->count <= rows) {
        list_described(out, matches, shown, widest);
    } else {
        size_t columns = edit_columns() / (widest + 2);

        columns = columns == 0 ? 1 : columns;
        shown = shown > rows * columns ? (rows - 1) * columns : shown;
        list_columns(out, matches, shown, widest);
    }
    if (shown < matches->count)
        (void)fprintf(out, "... and %zu more\n", matches->count - shown);
    if (fclose(out) == 0)
        edit_print_below(text);
}

static void ring(const struct shell *shell)
{
    if (settings_flag(&shell->settings, "bell"))
        edit_bell();
}

void candidates_show(const struct shell *shell, const struct completion *completion)
{
    const struct crosh_matches *matches = completion->matches;

    if (matches == NULL || matches->count == 0) {
        ring(shell);
    } else {
        size_t common = crosh_priv_matches_common(matches);
        bool is_whole = matches->count == 1 && !matches->items[0].is_partial;

        if (is_whole || common > strlen(matches->prefix)) {
            cleanup_free char *text = strndup(matches->items[0].text, common);
            cleanup_free char *quoted =
                text != NULL ? completion_quote(text, completion->quote, is_whole) : NULL;

            if (quoted != NULL)
                edit_replace(completion->start, quoted);
        } else if (matches->count > 1) {
            show_candidates(matches);
        } else {
            ring(shell);
        }
    }
}

void candidates_complete(struct shell *shell)
{
    struct completion completion;

    complete_line(shell, edit_line(), edit_point(), &completion);
    candidates_show(shell, &completion);
    completion_clear(&completion);
}

/* SPDX-License-Identifier: MIT */
/* Tables for people: columns aligned by display width. */
#include <crosh/command.h>

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "lib/command/text.h"

#define COLUMNS_MAX 64
#define COLUMN_GAP  2

struct crosh_table {
    size_t columns;
    size_t rows; /* the header is row 0 */
    char **cells;
};

struct crosh_table *crosh_table_new(const char *const *headers)
{
    struct crosh_table *table = calloc(1, sizeof(*table));

    if (table == NULL)
        return NULL;
    while (headers[table->columns] != NULL && table->columns < COLUMNS_MAX)
        table->columns++;
    crosh_table_row(table, headers);
    if (table->rows == 0) {
        crosh_table_free(table);
        return NULL;
    }
    return table;
}

void crosh_table_row(struct crosh_table *table, const char *const *cells)
{
    char **grown, **row;

    if (table == NULL)
        return;
    grown = reallocarray(table->cells, (table->rows + 1) * table->columns + 1, sizeof(*grown));
    if (grown == NULL)
        return;
    table->cells = grown;
    row = &grown[table->rows * table->columns];
    for (size_t i = 0; i < table->columns; i++) {
        row[i] = strdup(cells[i] != NULL ? cells[i] : "");
        if (row[i] == NULL) {
            while (i > 0)
                free(row[--i]);
            return;
        }
    }
    table->rows++;
}

/* No column is made narrower than that: less tells nothing. */
#define COLUMN_MIN 8

/* The terminal's width; 0 when the output is none and nothing needs to fit. */
static size_t terminal_columns(struct crosh_context *ctx)
{
    struct winsize size = {0};
    int fd = crosh_stdout_fd(ctx);

    return isatty(fd) && ioctl(fd, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

/* Takes from the widest columns what is too much for the terminal. */
static void fit(size_t *widths, size_t count, size_t columns)
{
    size_t total = (count - 1) * COLUMN_GAP;

    for (size_t i = 0; i < count; i++)
        total += widths[i];
    while (total > columns) {
        size_t widest = 0;

        for (size_t i = 1; i < count; i++)
            widest = widths[i] > widths[widest] ? i : widest;
        if (widths[widest] <= COLUMN_MIN)
            return;
        widths[widest]--;
        total--;
    }
}

static void cut_cells(struct crosh_table *table, const size_t *widths)
{
    for (size_t i = 0; i < table->rows * table->columns; i++)
        crosh_priv_text_cut(table->cells[i], widths[i % table->columns]);
}

void crosh_table_print(struct crosh_table *table, struct crosh_context *ctx)
{
    size_t columns = terminal_columns(ctx);
    size_t widths[COLUMNS_MAX] = {0};
    FILE *out = crosh_stdout(ctx);
    int colour = crosh_use_colour(ctx);

    if (table == NULL)
        return;
    for (size_t i = 0; i < table->rows * table->columns; i++) {
        size_t width = crosh_priv_text_width(table->cells[i]);

        if (width > widths[i % table->columns])
            widths[i % table->columns] = width;
    }
    if (columns > 0 && table->columns > 0) {
        fit(widths, table->columns, columns);
        cut_cells(table, widths);
    }
    for (size_t row = 0; row < table->rows; row++) {
        char **cells = &table->cells[row * table->columns];
        size_t last = table->columns;

        /* Nothing but the text itself after the row's last text: no spaces at the end of lines. */
        while (last > 0 && cells[last - 1][0] == '\0')
            last--;
        if (row == 0 && colour)
            (void)fputs("\033[1m", out);
        for (size_t i = 0; i < last; i++) {
            crosh_priv_text_print(out, cells[i]);
            if (i + 1 < last)
                (void)fprintf(out, "%*s",
                              (int)(widths[i] - crosh_priv_text_width(cells[i]) + COLUMN_GAP), "");
        }
        (void)fputs(row == 0 && colour ? "\033[0m\n" : "\n", out);
    }
}

void crosh_table_free(struct crosh_table *table)
{
    if (table == NULL)
        return;
    for (size_t i = 0; i < table->rows * table->columns; i++)
        free(table->cells[i]);
    free(table->cells);
    free(table);
}

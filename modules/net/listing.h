/* SPDX-License-Identifier: MIT */
/* Rows of one shape, shown as a table for people or as JSON for programs. */
#ifndef MODULES_NET_LISTING_H
#define MODULES_NET_LISTING_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include <crosh/command.h>

#define LISTING_COLUMNS_MAX 14
#define LISTING_CELL_MAX    384

/*
 * The columns that people see also name the JSON keys. A row's cells are texts or numbers, put in
 * the order of the headers; what is missing is "-", or null.
 */
struct listing {
    const char *const *headers; /* NULL-terminated */
    struct crosh_table *table;  /* for people, else NULL */
    json_t *json;               /* for programs, else NULL */
    json_t *row;
    char cell[LISTING_COLUMNS_MAX][LISTING_CELL_MAX];
    const char *cells[LISTING_COLUMNS_MAX + 1];
    unsigned int column;
    bool failed;
};

/* Begins with the command's option "json"; headers: NULL-terminated. */
void listing_begin(struct listing *l, const struct crosh_args *args, const char *const *headers);
/* A text, which may be any bytes, an interface's name say; NULL or empty: there is none. */
void listing_text(struct listing *l, const char *text);
void listing_number(struct listing *l, uint64_t number);
void listing_row_end(struct listing *l);
/* Shows the rows, or frees them when code says that something failed. Returns the code. */
int listing_end(struct listing *l, struct crosh_context *ctx, int code, struct crosh_error *err);

#endif

/* SPDX-License-Identifier: MIT */
/* Implements listings. */
#include "modules/net/listing.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/cleanup.h"
#include "lib/base/sanitize.h"

void listing_begin(struct listing *l, const struct crosh_args *args, const char *const *headers)
{
    *l = (struct listing){.headers = headers};
    if (crosh_args_has(args, "json"))
        l->json = json_array();
    else
        l->table = crosh_table_new(headers);
    l->failed = l->json == NULL && l->table == NULL;
}

/* The JSON key of a header: in small letters, with _ for blanks. */
static const char *key(const char *header, char *buf, size_t size)
{
    size_t i;

    for (i = 0; header[i] != '\0' && i + 1 < size; i++)
        buf[i] = header[i] == ' ' || header[i] == '-'   ? '_'
                 : header[i] >= 'A' && header[i] <= 'Z' ? (char)(header[i] - 'A' + 'a')
                                                        : header[i];
    buf[i] = '\0';
    return buf;
}

static void put(struct listing *l, const char *text, json_t *value)
{
    char name[32];
    unsigned int column = l->column++;

    if (column >= LISTING_COLUMNS_MAX || l->headers[column] == NULL)
        return;
    if (l->json != NULL) {
        if (l->row == NULL)
            l->row = json_object();
        if (json_object_set_new(l->row, key(l->headers[column], name, sizeof(name)), value) < 0)
            l->failed = true;
        return;
    }
    json_decref(value);
    (void)snprintf(l->cell[column], LISTING_CELL_MAX, "%s", text);
    l->cells[column] = l->cell[column];
}

void listing_text(struct listing *l, const char *text)
{
    size_t size = text != NULL ? strlen(text) + 1 : 0;
    cleanup_free char *harmless = size > 1 ? malloc(size) : NULL;

    if (harmless != NULL)
        text_sanitize(harmless, size, text);
    else if (size > 1)
        l->failed = true;
    put(l, harmless != NULL ? harmless : "-",
        l->json == NULL    ? NULL
        : harmless != NULL ? json_string(harmless)
                           : json_null());
}

void listing_number(struct listing *l, uint64_t number)
{
    char text[32];

    (void)snprintf(text, sizeof(text), "%" PRIu64, number);
    put(l, text, l->json == NULL ? NULL : json_integer((json_int_t)number));
}

void listing_row_end(struct listing *l)
{
    l->column = 0;
    if (l->table != NULL)
        crosh_table_row(l->table, l->cells);
    else if (l->row != NULL && json_array_append_new(l->json, l->row) < 0)
        l->failed = true;
    l->row = NULL;
}

/* Shows the rows, or frees them when code says that something failed. */
int listing_end(struct listing *l, struct crosh_context *ctx, int code, struct crosh_error *err)
{
    if (code == 0 && l->failed)
        code = crosh_error_set(err, -ENOMEM, "out of memory");
    if (code == 0 && l->table != NULL) {
        crosh_table_print(l->table, ctx);
    } else if (code == 0) {
        (void)json_dumpf(l->json, crosh_stdout(ctx), JSON_INDENT(2));
        fputc('\n', crosh_stdout(ctx));
    }
    crosh_table_free(l->table);
    json_decref(l->json);
    return code;
}

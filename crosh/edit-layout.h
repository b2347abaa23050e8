/* SPDX-License-Identifier: MIT */
/* Where on the terminal the characters of a prompt and a line stand. */
#ifndef CROSH_EDIT_LAYOUT_H
#define CROSH_EDIT_LAYOUT_H

#include <stddef.h>

struct edit_place {
    size_t row, column; /* from the prompt's beginning */
};

/* The terminal's size on stdout; 80 by 24 when it does not tell. */
size_t edit_columns(void);
size_t edit_rows(void);

/*
 * The place of the cursor behind the first length bytes of line. Characters
 * between \001 and \002 in the prompt take no room.
 */
struct edit_place edit_place_of(const char *prompt, const char *line, size_t length,
                                size_t columns);

/* How many bytes of text fit into width columns; *used becomes their width. */
size_t edit_fit(const char *text, size_t width, size_t *used);

#endif

/* SPDX-License-Identifier: MIT */
/* Text for terminals: display widths, safe quoting, wrapping. */
#ifndef CROSH_LIB_TEXT_H
#define CROSH_LIB_TEXT_H

#include <stddef.h>
#include <stdio.h>

/* Columns that the text takes on a terminal; what cannot be decoded or shown counts as 1 a byte. */
size_t crosh_priv_text_width(const char *text);

/* Cuts text to columns columns in place, at a whole character, with "..." where there is room. */
void crosh_priv_text_cut(char *text, size_t columns);

/*
 * Writes "text" with its quotes into buf, with control and undecodable bytes as
 * \xNN and "..." where it is cut: safe to show whatever a user or file contained.
 * Returns buf.
 */
const char *crosh_priv_text_quote(const char *text, char *buf, size_t size);

/* Writes text to out with control and undecodable bytes replaced by "?". */
void crosh_priv_text_print(FILE *out, const char *text);

/*
 * Writes text wrapped at spaces to width columns, each line indented, starting at column
 * first on the current line. "\n" breaks lines, "\n\n" separates paragraphs. Ends with a newline.
 */
void crosh_priv_text_wrap(FILE *out, const char *text, size_t first, size_t indent, size_t width);

#endif

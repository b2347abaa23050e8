/* SPDX-License-Identifier: MIT */
/* Text for people: foreign bytes made harmless, sizes, times, the end of a log. */
#ifndef VMC_TEXT_H
#define VMC_TEXT_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/*
 * Takes what could act on a terminal out of a byte stream: escape sequences,
 * control characters other than newline and tab, and bytes that are not UTF-8.
 * Zero is its initial state.
 */
struct text_filter {
    enum {
        TEXT_PLAIN,
        TEXT_ESCAPE,        /* after ESC */
        TEXT_CONTROL,       /* within a CSI sequence */
        TEXT_STRING,        /* within an OSC, DCS, ... string */
        TEXT_STRING_ESCAPE, /* ESC within such a string */
    } state;
    unsigned char pending[4]; /* a UTF-8 sequence not complete yet */
    unsigned int have, want;
};

/* Writes the harmless part of data to out. */
void text_filter_write(struct text_filter *filter, const char *data, size_t size, FILE *out);

/* Prints the text on one line, filtered. */
void text_print_line(FILE *out, const char *text);

/*
 * Prints the last lines of the file, at most as many, each filtered and behind
 * prefix; of a kernel's log that ends in a panic, the lines around its reason.
 * Returns how many lines it printed; 0 when there is nothing to read.
 */
int text_print_tail(FILE *out, int dir_fd, const char *name, int lines, const char *prefix);

/*
 * Copies a kernel's words on why it panicked out of the end of the file,
 * filtered. 0, or -1 when there is no panic.
 */
int text_find_panic(int dir_fd, const char *name, char *reason, size_t size);

/* "512M", "1.5G"; into buffer, which is returned. */
const char *text_size(uint64_t bytes, char *buffer, size_t size);

/* "12 s", "3 min", "2 h 5 min", "4 d 1 h". */
const char *text_duration(uint64_t seconds, char *buffer, size_t size);

#endif

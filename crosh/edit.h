/* SPDX-License-Identifier: MIT */
/* The line editor behind one small interface: readline, or libedit by --with-readline=editline. */
#ifndef CROSH_EDIT_H
#define CROSH_EDIT_H

#include <stddef.h>

#include "crosh/history.h"

enum edit_result {
    EDIT_LINE,        /* a line was entered */
    EDIT_EOF,         /* Ctrl-D on an empty line, or the terminal is gone */
    EDIT_INTERRUPTED, /* Ctrl-C: the line is cleared */
    EDIT_TERMINATED,  /* the shell has been told to end */
};

/*
 * Takes over the terminal on stdin and stdout; on_tab(data) is called for TAB
 * and may use the functions below. The editor is the process's only one: both
 * libraries keep their state in globals.
 */
void edit_init(void (*on_tab)(void *data), void *data);

/* The lines that arrow-up and Ctrl-R find. */
void edit_set_history(const struct history *history);

/* Reads a line with the prompt. *line is heap memory for EDIT_LINE, else NULL. */
enum edit_result edit_read(const char *prompt, char **line);

/* Within on_tab: the line and the cursor's offset in it. */
const char *edit_line(void);
size_t edit_point(void);
/* Within on_tab: replaces what stands between start and the cursor. */
void edit_replace(size_t start, const char *text);
/* Within on_tab: prints text (whole lines) below the line, then draws prompt and line anew. */
void edit_print_below(const char *text);
void edit_bell(void);

#endif

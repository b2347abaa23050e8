/* SPDX-License-Identifier: MIT */
/* The line editor behind one small interface: readline, or libedit by --with-readline=editline. */
#ifndef CROSH_EDIT_H
#define CROSH_EDIT_H

#include <stdbool.h>
#include <stddef.h>

#include "crosh/history.h"

enum edit_result {
    EDIT_LINE,        /* a line was entered */
    EDIT_EOF,         /* Ctrl-D on an empty line, or the terminal is gone */
    EDIT_INTERRUPTED, /* Ctrl-C: the line is cleared */
    EDIT_TERMINATED,  /* the shell has been told to end */
};

/* What the editor asks of its user. Each may be NULL. */
struct edit_hooks {
    void *data;
    /* TAB was pressed. */
    void (*on_tab)(void *data);
    /*
     * How the line may go on, to be shown in grey behind it; heap, or NULL. The
     * keys that move to the end take it into the line when is_acceptable is set.
     */
    char *(*hint)(void *data, const char *line, bool *is_acceptable);
    /* Lines to print above the prompt (heap, or NULL), asked for when notices_fd is readable. */
    char *(*notices)(void *data);
    int notices_fd; /* -1: none */
};

/*
 * Takes over the terminal on stdin and stdout. The editor is the process's only
 * one: both libraries keep their state in globals. hooks must stay.
 */
void edit_init(const struct edit_hooks *hooks);

/*
 * Another user of the editor for a while; NULL: none. Takes over the terminal if nobody has.
 * Returns the one before, which is to be put back.
 */
const struct edit_hooks *edit_swap_hooks(const struct edit_hooks *hooks);

/* The lines that arrow-up and Ctrl-R find. history must stay. */
void edit_set_history(const struct history *history);

/*
 * Reads a line with the prompt, in which \001 and \002 enclose what takes no
 * room. *line is heap memory for EDIT_LINE, else NULL; it may have several
 * lines when they were pasted or come from the history.
 */
enum edit_result edit_read(const char *prompt, char **line);

/* Within a hook: the line and the cursor's offset in it. */
const char *edit_line(void);
size_t edit_point(void);
/* Within on_tab: replaces what stands between start and the cursor. */
void edit_replace(size_t start, const char *text);
/* Within on_tab: prints text (whole lines) below the line, then draws prompt and line anew. */
void edit_print_below(const char *text);
void edit_bell(void);

#endif

/* SPDX-License-Identifier: MIT */
/* The lines typed before, and the file that keeps them. */
#ifndef CROSH_HISTORY_H
#define CROSH_HISTORY_H

#include <stddef.h>

#include <crosh/error.h>

#define HISTORY_MAX 4096

struct history;

/*
 * The history kept in the file at path (heap or static; copied), which is made
 * when there is something to keep; NULL path: kept in memory only. A file that
 * cannot be read is an empty history with err filled. NULL only for lack of
 * memory.
 */
struct history *history_new(const char *path, struct crosh_error *err);
void history_free(struct history *history);

/* How many lines to keep from the next one on, at most HISTORY_MAX; 0: none. */
void history_set_size(struct history *history, size_t size);

/* $XDG_STATE_HOME/crosh/history or ~/.local/state/crosh/history; heap, NULL when there is no home.
 */
char *history_default_path(void);

/*
 * Adds a line, unless it begins with a space or is blank; an equal older line
 * goes. The file is replaced at once (mode 0600): lines that another crosh has
 * added meanwhile are kept. 1 when added, 0 when not, negative when the file
 * could not be written (the line is in memory then).
 */
int history_add(struct history *history, const char *line, struct crosh_error *err);
int history_clear(struct history *history, struct crosh_error *err);

size_t history_count(const struct history *history);
const char *history_line(const struct history *history, size_t index);

#endif

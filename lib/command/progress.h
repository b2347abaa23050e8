/* SPDX-License-Identifier: MIT */
/* The lines that progress is shown by, apart from clock and terminal. */
#ifndef CROSH_LIB_PROGRESS_H
#define CROSH_LIB_PROGRESS_H

#include <stddef.h>
#include <stdint.h>

/* What is known at one moment. */
struct progress_state {
    const char *title;
    const char *unit; /* "B", or a word */
    uint64_t done;
    uint64_t total; /* 0: not known */
    int64_t elapsed_ms;
};

/* The line of work under way, of fewer than columns columns, without a newline. Returns buf. */
const char *crosh_priv_progress_line(const struct progress_state *state, size_t columns, char *buf,
                                     size_t size);

/* The line that stays at the end, without a newline. Returns buf. */
const char *crosh_priv_progress_summary(const struct progress_state *state, char *buf, size_t size);

struct crosh_progress;

/* Takes the line off the terminal for what is printed next; it is drawn again. Accepts NULL. */
void crosh_priv_progress_clear(struct crosh_progress *progress);

#endif

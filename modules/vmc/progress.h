/* SPDX-License-Identifier: MIT */
/* Shows the stages of a long command with their times, as they happen. */
#ifndef VMC_PROGRESS_H
#define VMC_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

#include <crosh/command.h>

struct progress {
    FILE *out;
    bool is_live;      /* a terminal: the current stage is drawn and redrawn in place */
    const char *stage; /* the one under way; NULL: none */
    int64_t began_ms;
    char detail[64]; /* how far it is, behind the time; empty: not known */
};

void progress_init(struct progress *progress, struct crosh_context *ctx);

/* A stage begins; name must outlive it. */
void progress_begin(struct progress *progress, const char *name);

/* Redraws the running time; call it some ten times a second when is_live. */
void progress_tick(struct progress *progress);

/* How far the stage is, already harmless text; drawn when is_live. */
void progress_detail(struct progress *progress, const char *text);

/* The stage is done; after elapsed_us, or, below 0, the time since it began. */
void progress_done(struct progress *progress, int64_t elapsed_us);

/* The stage did not get done: its line says so. */
void progress_fail(struct progress *progress);

/* The stage is over, and nothing need stand there of it. */
void progress_clear(struct progress *progress);

/* A line of its own between the stages, filtered. */
void progress_note(struct progress *progress, const char *text);

#endif

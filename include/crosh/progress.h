/* SPDX-License-Identifier: MIT */
/* Progress of long work: how far, how fast, how long still. */
#ifndef CROSH_PROGRESS_H
#define CROSH_PROGRESS_H

#include <stdint.h>

#include <crosh/command.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * One piece of work that is shown on crosh_stderr(): on a terminal as a line
 * that is redrawn in place, with a bar, the rate and the time left; elsewhere
 * nothing until the end. All functions are for the command's own thread.
 */
struct crosh_progress;

/*
 * Begins. title is a few words ("importing termina"), copied. unit is what is
 * counted: "B" for bytes, which are then shown as KiB, MiB, ..., or a word such
 * as "files"; copied. total is how many there will be; 0: not known. NULL after
 * out of memory; the other functions accept NULL.
 */
struct crosh_progress *crosh_progress_new(struct crosh_context *ctx, const char *title,
                                          const char *unit, uint64_t total);

/* Another total: work that finds out on its way how much it is. */
void crosh_progress_set_total(struct crosh_progress *progress, uint64_t total);

/* Tells how many are done so far. May be called for every one: it draws some times a second. */
void crosh_progress_update(struct crosh_progress *progress, uint64_t done);

/*
 * Ends and frees. When is_done is not zero one line stays that tells the sum,
 * the time and the rate; else nothing stays, and the error's own message tells
 * the rest.
 */
void crosh_progress_finish(struct crosh_progress *progress, int is_done);

#ifdef __cplusplus
}
#endif
#endif

/* SPDX-License-Identifier: MIT */
/* Notices: what happens beside the command line, told when the terminal is free for it. */
#ifndef CROSH_NOTICES_H
#define CROSH_NOTICES_H

#include <stdbool.h>

#include <crosh/error.h>

/*
 * An interactive shell has one of these (shell->notices); a script has none,
 * and every function here takes NULL. Sources (background jobs, the watch over
 * the VMs) register descriptors; while the user types, the line editor waits
 * for them too, and what they post is printed above the line.
 */
struct notices;

struct notices *notices_new(void);
void notices_free(struct notices *notices);

/* Adds a line (no newline at its end). */
void notices_post(struct notices *notices, const char *fmt, ...) CROSH_PRINTF(2, 3);

/*
 * Calls ready(data) from notices_take() whenever fd is readable; it shall make
 * that end, or unwatch. The descriptor stays the caller's, who unwatches it
 * before closing it. Negative errno on failure.
 */
int notices_watch(struct notices *notices, int fd, void (*ready)(void *data), void *data);
void notices_unwatch(struct notices *notices, int fd);

/* Readable while a watched descriptor is; -1 without notices. */
int notices_fd(const struct notices *notices);

/* Asks the sources that are ready, then gives all lines as one text; heap, NULL when there are
 * none.
 */
char *notices_take(struct notices *notices);

#endif

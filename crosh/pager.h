/* SPDX-License-Identifier: MIT */
/* Paging: output that is taller than the terminal goes through the user's pager. */
#ifndef CROSH_PAGER_H
#define CROSH_PAGER_H

#include "lib/command/context.h"

/*
 * What crosh_page_output() does in the shell: when the output is the terminal
 * of an interactive shell and the setting "pager" is not off, it is held back
 * until it is complete, or taller than the terminal. Only then is $PAGER
 * started, or less.
 */
void pager_begin(struct crosh_context *ctx);

/* Shows what was held back, or waits until the user leaves the pager. */
void pager_end(struct crosh_context *ctx);

#endif

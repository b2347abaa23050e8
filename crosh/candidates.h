/* SPDX-License-Identifier: MIT */
/* Completion as a person sees it: what TAB does to the line, and the lists it shows. */
#ifndef CROSH_CANDIDATES_H
#define CROSH_CANDIDATES_H

#include "crosh/shell.h"

struct completion;

/* Puts what was found into the line, or shows what is possible. */
void candidates_show(const struct shell *shell, const struct completion *completion);
/* Completes the line under the cursor, or shows what is possible. For edit_hooks.on_tab. */
void candidates_complete(struct shell *shell);

#endif

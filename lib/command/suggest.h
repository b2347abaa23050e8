/* SPDX-License-Identifier: MIT */
/* "Did you mean": the candidate nearest to a mistyped word. */
#ifndef CROSH_LIB_SUGGEST_H
#define CROSH_LIB_SUGGEST_H

#include <stddef.h>

/* Feed candidates one by one; best is the nearest that is near enough, or NULL. */
struct suggestion {
    const char *word;
    const char *best;
    size_t distance;
};

void crosh_priv_suggestion_init(struct suggestion *suggestion, const char *word);
void crosh_priv_suggestion_consider(struct suggestion *suggestion, const char *candidate);

#endif

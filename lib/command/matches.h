/* SPDX-License-Identifier: MIT */
/* The collection of completion candidates behind struct crosh_matches. */
#ifndef CROSH_LIB_MATCHES_H
#define CROSH_LIB_MATCHES_H

#include <stdbool.h>
#include <stddef.h>

#include <crosh/command.h>

struct match {
    char *text;
    char *description; /* may be NULL */
    bool is_partial;   /* more will follow without a space: "dir/", "--size=" */
};

struct crosh_matches {
    char *prefix; /* what candidates must begin with */
    struct match *items;
    size_t count;
};

struct crosh_matches *crosh_priv_matches_new(const char *prefix);
void crosh_priv_matches_free(struct crosh_matches *matches);
/* As crosh_match_add(), for candidates that are not the end of a word. */
void crosh_priv_matches_add_partial(struct crosh_matches *matches, const char *text,
                                    const char *description);
/* Sorts by text and drops what is there twice. */
void crosh_priv_matches_sort(struct crosh_matches *matches);
/* Bytes that all candidates begin with, cut at a whole UTF-8 character; 0 when there are none. */
size_t crosh_priv_matches_common(const struct crosh_matches *matches);

#endif

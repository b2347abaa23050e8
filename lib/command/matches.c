/* SPDX-License-Identifier: MIT */
/* Collects, sorts and compares completion candidates. Out of memory costs candidates, no more. */
#include "lib/command/matches.h"

#include <stdlib.h>
#include <string.h>

/* A completer that never ends must not take the shell along. */
#define MATCHES_MAX 20000

struct crosh_matches *crosh_priv_matches_new(const char *prefix)
{
    struct crosh_matches *matches = calloc(1, sizeof(*matches));

    if (matches == NULL)
        return NULL;
    matches->prefix = strdup(prefix);
    if (matches->prefix == NULL) {
        free(matches);
        return NULL;
    }
    return matches;
}

static void match_clear(struct match *match)
{
    free(match->text);
    free(match->description);
}

void crosh_priv_matches_free(struct crosh_matches *matches)
{
    if (matches == NULL)
        return;
    for (size_t i = 0; i < matches->count; i++)
        match_clear(&matches->items[i]);
    free(matches->items);
    free(matches->prefix);
    free(matches);
}

static void add(struct crosh_matches *matches, const char *text, const char *description,
                bool is_partial)
{
    struct match match = {.is_partial = is_partial};
    struct match *grown;

    if (matches == NULL || text == NULL || matches->count >= MATCHES_MAX ||
        strncmp(text, matches->prefix, strlen(matches->prefix)) != 0)
        return;
    grown = reallocarray(matches->items, matches->count + 1, sizeof(*grown));
    if (grown == NULL)
        return;
    matches->items = grown;
    match.text = strdup(text);
    match.description = description != NULL ? strdup(description) : NULL;
    if (match.text == NULL) {
        match_clear(&match);
        return;
    }
    matches->items[matches->count++] = match;
}

void crosh_match_add(struct crosh_matches *matches, const char *text, const char *description)
{
    add(matches, text, description, false);
}

void crosh_priv_matches_add_partial(struct crosh_matches *matches, const char *text,
                                    const char *description)
{
    add(matches, text, description, true);
}

static int compare(const void *a, const void *b)
{
    return strcmp(((const struct match *)a)->text, ((const struct match *)b)->text);
}

void crosh_priv_matches_sort(struct crosh_matches *matches)
{
    size_t kept = 0;

    if (matches->count == 0)
        return;
    qsort(matches->items, matches->count, sizeof(*matches->items), compare);
    for (size_t i = 0; i < matches->count; i++) {
        if (kept > 0 && strcmp(matches->items[kept - 1].text, matches->items[i].text) == 0)
            match_clear(&matches->items[i]);
        else
            matches->items[kept++] = matches->items[i];
    }
    matches->count = kept;
}

size_t crosh_priv_matches_common(const struct crosh_matches *matches)
{
    const char *first;
    size_t common;

    if (matches->count == 0)
        return 0;
    first = matches->items[0].text;
    common = strlen(first);
    for (size_t i = 1; i < matches->count; i++) {
        const char *text = matches->items[i].text;
        size_t same = 0;

        while (same < common && text[same] == first[same])
            same++;
        common = same;
    }
    while (common > 0 && ((unsigned char)first[common] & 0xc0) == 0x80)
        common--;
    return common;
}

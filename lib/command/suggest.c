/* SPDX-License-Identifier: MIT */
/* Finds the nearest word by edit distance with transpositions (optimal string alignment). */
#include "lib/command/suggest.h"

#include <string.h>

#define WORD_MAX 64

static size_t min_size(size_t a, size_t b)
{
    return a < b ? a : b;
}

static size_t edit_distance(const char *a, size_t a_length, const char *b, size_t b_length)
{
    size_t rows[3][WORD_MAX + 1];
    size_t *before = rows[0], *last = rows[1], *now = rows[2];

    for (size_t j = 0; j <= b_length; j++)
        last[j] = j;
    for (size_t i = 1; i <= a_length; i++) {
        size_t *recycled = before;

        now[0] = i;
        for (size_t j = 1; j <= b_length; j++) {
            size_t cost = a[i - 1] == b[j - 1] ? 0 : 1;

            now[j] = min_size(min_size(last[j], now[j - 1]) + 1, last[j - 1] + cost);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                now[j] = min_size(now[j], before[j - 2] + 1);
        }
        before = last;
        last = now;
        now = recycled;
    }
    return last[b_length];
}

void crosh_priv_suggestion_init(struct suggestion *suggestion, const char *word)
{
    suggestion->word = word;
    suggestion->best = NULL;
    suggestion->distance = 0;
}

void crosh_priv_suggestion_consider(struct suggestion *suggestion, const char *candidate)
{
    size_t word_length = strlen(suggestion->word);
    size_t length = strlen(candidate);
    size_t distance, limit;

    /* Of two letters a slip leaves hardly anything: "es" is not nearly "en". */
    if (word_length == 0 || length < 3 || word_length > WORD_MAX || length > WORD_MAX)
        return;
    distance = edit_distance(suggestion->word, word_length, candidate, length);
    /* One slip in short words, a third of the letters in longer ones. */
    limit = length < 6 ? 1 : length / 3;
    if (length > 2 && length < 6)
        limit = word_length > 2 ? 2 : 1;
    /* A word of which nothing is left is no slip. */
    if (distance >= min_size(length, word_length))
        return;
    /* An unfinished word is near to what it begins. */
    if (word_length >= 3 && strncmp(candidate, suggestion->word, word_length) == 0)
        distance = 1;
    if (distance > limit)
        return;
    if (suggestion->best == NULL || distance < suggestion->distance) {
        suggestion->best = candidate;
        suggestion->distance = distance;
    }
}

/* SPDX-License-Identifier: MIT */
/* Expands variables in words. */
#include "crosh/script/expand.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

char *expand_word(const struct word *word, int last_status)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    bool failed;

    if (out == NULL)
        return NULL;
    for (size_t i = 0; i < word->count; i++) {
        const struct part *part = &word->parts[i];
        const char *value;

        if (part->kind == PART_LITERAL) {
            (void)fputs(part->text, out);
        } else if (strcmp(part->text, "?") == 0) {
            (void)fprintf(out, "%d", last_status);
        } else {
            value = getenv(part->text);
            (void)fputs(value != NULL ? value : "", out);
        }
    }
    failed = ferror(out) != 0;
    if (fclose(out) != 0 || failed) {
        free(text);
        return NULL;
    }
    return text;
}

void expanded_free(char **words)
{
    if (words == NULL)
        return;
    for (size_t i = 0; words[i] != NULL; i++)
        free(words[i]);
    free(words);
}

char **expand_words(const struct word *words, size_t count, int last_status)
{
    char **expanded = calloc(count + 1, sizeof(*expanded));
    size_t kept = 0;

    if (expanded == NULL)
        return NULL;
    for (size_t i = 0; i < count; i++) {
        char *text = expand_word(&words[i], last_status);

        if (text == NULL) {
            expanded_free(expanded);
            return NULL;
        }
        if (text[0] == '\0' && !words[i].is_quoted) {
            free(text);
            continue;
        }
        expanded[kept++] = text;
    }
    return expanded;
}

/* SPDX-License-Identifier: MIT */
/* Expands variables in words. */
#include "crosh/script/expand.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct expansion {
    FILE *out;
    int last_status;
    bool is_quoted; /* something quoted took part, maybe within ${NAME:-...} */
};

/* The value of a variable; NULL when it is not set. Numbers are written to buf. */
static const char *variable(const struct expansion *expansion, const char *name, char *buf,
                            size_t size)
{
    if (strcmp(name, "?") != 0 && strcmp(name, "$") != 0)
        return getenv(name);
    (void)snprintf(buf, size, "%ld",
                   name[0] == '?' ? (long)expansion->last_status : (long)getpid());
    return buf;
}

static void put_word(struct expansion *expansion, const struct word *word);

static void put_variable(struct expansion *expansion, const struct part *part)
{
    char number[32];
    const char *value = variable(expansion, part->text, number, sizeof(number));
    bool is_set = value != NULL && (value[0] != '\0' || !part->empty_is_unset);

    if (part->operation != '\0' && is_set == (part->operation == '+')) {
        if (part->other != NULL)
            put_word(expansion, part->other);
    } else if (part->operation != '+' && value != NULL) {
        (void)fputs(value, expansion->out);
    }
}

static void put_word(struct expansion *expansion, const struct word *word)
{
    expansion->is_quoted = expansion->is_quoted || word->is_quoted;
    for (size_t i = 0; i < word->count; i++) {
        const struct part *part = &word->parts[i];
        const char *home = part->kind == PART_HOME ? getenv("HOME") : NULL;

        if (part->kind == PART_VARIABLE)
            put_variable(expansion, part);
        else
            (void)fputs(home != NULL ? home : part->text, expansion->out);
    }
}

static char *expand(const struct word *word, int last_status, bool *is_quoted)
{
    char *text = NULL;
    size_t size = 0;
    struct expansion expansion = {.out = open_memstream(&text, &size), .last_status = last_status};
    bool failed;

    if (expansion.out == NULL)
        return NULL;
    put_word(&expansion, word);
    failed = ferror(expansion.out) != 0;
    if (fclose(expansion.out) != 0 || failed) {
        free(text);
        return NULL;
    }
    *is_quoted = expansion.is_quoted;
    return text;
}

char *expand_word(const struct word *word, int last_status)
{
    bool is_quoted;

    return expand(word, last_status, &is_quoted);
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
        bool is_quoted = false;
        char *text = expand(&words[i], last_status, &is_quoted);

        if (text == NULL) {
            expanded_free(expanded);
            return NULL;
        }
        if (text[0] == '\0' && !is_quoted) {
            free(text);
            continue;
        }
        expanded[kept++] = text;
    }
    return expanded;
}
